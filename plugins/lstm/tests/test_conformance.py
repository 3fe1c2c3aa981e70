"""Every model of the plugin passes the kit, through the same door as anyone's."""

import zoo.testing


@zoo.testing.parametrize("lstm")
def test_conformance(check: zoo.testing.Check) -> None:
    check.run()
