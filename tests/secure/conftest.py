from __future__ import annotations

import pytest

from holepunch.secure import framecipher


@pytest.fixture(params=["direct", "bindings"])
def cipher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With PyNaCl's compiled module, and as if it were not to be found."""
    if request.param == "bindings":
        monkeypatch.setattr(framecipher, "lib", None)
