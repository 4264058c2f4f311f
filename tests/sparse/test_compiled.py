"""The compiled library in the cache."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lgm_bench.files import CACHE_VARIABLE, cache_folder
from lgm_bench.sparse import compiled

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda build: build[: len(build) // 2],
    "altered": lambda build: build[:5000] + bytes([build[5000] ^ 1]) + build[5001:],
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_build_is_not_loaded_but_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    whole = compiled.library()
    if whole is None:
        pytest.skip(compiled.why_not())
    build = Path(whole._name).read_bytes()
    builds: list[Path] = []

    def made(path: Path) -> None:
        builds.append(path)
        path.parent.mkdir(exist_ok=True, parents=True)
        compiled._keep(path, build)

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(compiled, "_build", made)
    path = cache_folder("kernels") / Path(whole._name).name
    load = compiled.library.__wrapped__  # what the first call does
    for _ in range(2):
        assert load() is not None
    assert builds == [path], "a build that is whole is used again"
    path.unlink()  # this process has it mapped
    path.write_bytes(DAMAGE[damage](build))
    assert load() is not None
    assert builds == [path, path]
    assert path.read_bytes() == build
