"""Whose a report is: signatures made by ssh-keygen, and what `verify` says of good, bad and unknown ones."""

import shutil
import subprocess
from pathlib import Path

import pytest
from directory_stages import render_folder

from reportgen.archive.sign import beside, sign
from reportgen.archive.verify import Verification, verify
from reportgen.errors import InputError, MissingResourceError


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two keys, of which `allowed` names one."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ada", "eve"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True)
    (folder / "allowed").write_text(f"ada@example.org {(folder / 'ada.pub').read_text()}")
    return folder


@pytest.fixture
def report(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "report"))


def told(found: Verification) -> tuple[str, ...]:
    return tuple(f"{c.what}: {c.wrong}" for c in found.differences) + found.unchecked


def test_a_signed_report_says_by_whom_from_its_folder_and_from_its_pdf(report: Path, keys: Path) -> None:
    made = sign(report, keys / "ada")
    assert [p.name for p in made] == ["manifest.json.sig", "report.pdf.sig"]
    assert made == sign(report, keys / "ada")  # again, over the old ones
    for path in (report, report / "report.pdf"):
        found = verify(path, signers=keys / "allowed")
        assert (found.result, found.signed_by) == ("verified", ("ada@example.org",))


def test_a_signature_of_other_bytes_differs(report: Path, keys: Path) -> None:
    sign(report, keys / "ada")
    path = report / "manifest.json"
    path.write_bytes(path.read_bytes() + b"\n")
    for signers in (None, keys / "allowed"):
        found = verify(report, quick=True, signers=signers)
        assert found.result == "differs"
        assert "manifest.json, its signature: its signature is not one of these bytes" in told(found)
    beside(path).write_text("nothing")
    assert verify(report, quick=True).result == "differs"


def test_whose_signature_nobody_knows_is_not_fully_verified(report: Path, keys: Path) -> None:
    def unknown(signers: Path | None = keys / "allowed") -> set[str]:
        found = verify(report, quick=True, signers=signers)
        assert (found.result, found.signed_by) == ("not fully verified", ())
        return {each for each in found.unchecked if not each.startswith("findings")}

    assert unknown() == {"manifest.json: it is not signed", "report.pdf: it is not signed"}
    sign(report, keys / "eve")
    names = ("manifest.json", "report.pdf")
    assert unknown() == {f"{name}: it is signed by nobody whom {keys / 'allowed'} names" for name in names}
    assert unknown(None) == {
        f"{name}: it is signed; --signers FILE tells whether by someone you know" for name in names
    }
    for name in names:  # made for something else than reports
        content = (report / name).read_bytes()
        command = ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(keys / "ada")]
        done = subprocess.run(command, input=content, capture_output=True, check=True)
        beside(report / name).write_bytes(done.stdout)
    assert verify(report, quick=True, signers=keys / "allowed").result == "differs"


def test_a_report_that_is_rendered_again_is_no_longer_signed(paged: Path, keys: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(paged, tmp_path / "report"))
    sign(folder, keys / "ada")
    render_folder(folder, overrides={"report.theme": "paper"})
    assert not list(folder.glob("*.sig"))


def test_what_cannot_be_signed_is_refused(report: Path, keys: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such key"):
        sign(report, keys / "none")
    with pytest.raises(InputError, match="ssh-keygen does not sign with it"):
        sign(report, keys / "allowed")
    with pytest.raises(InputError, match="this folder holds no report"):
        sign(tmp_path, keys / "ada")
    with pytest.raises(InputError, match="no such file"):
        verify(report, quick=True, signers=keys / "none")


def test_without_ssh_keygen_the_package_is_named(
    report: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(report, keys / "ada")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingResourceError, match="apt-get install openssh-client"):
        sign(report, keys / "ada")
    with pytest.raises(MissingResourceError, match="openssh-client"):
        verify(report, quick=True, signers=keys / "allowed")
    assert any("openssh-client" in each for each in verify(report, quick=True).unchecked)
