"""Every model of the plugin passes the kit, through the same door as anyone's."""

import zoo.testing


@zoo.testing.parametrize("transformer")
def test_conformance(check: zoo.testing.Check) -> None:
    check.run()
