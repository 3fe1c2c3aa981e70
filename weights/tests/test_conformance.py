"""Every set of weights passes the kit, through the same door as anyone's."""

import zoo.testing


@zoo.testing.parametrize("weights")
def test_conformance(check: zoo.testing.Check) -> None:
    check.run()
