"""Arrays as TransformerLens, nnsight, PyTorch and NumPy users save them; and files that would do harm."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from files import refusal, written
from safetensors.torch import save_file

from reportgen.core.config import ScoresSection
from reportgen.core.scores import HeadScores
from reportgen.importers import load_scores

MAP = np.random.default_rng(0).uniform(0.1, 1, size=(3, 4)).astype(np.float32)
CUBE = np.random.default_rng(1).uniform(0.1, 1, size=(6, 3, 4)).astype(np.float32)


def load(path: Path, **section: object) -> HeadScores:
    return load_scores(path, ScoresSection.model_validate({"path": path, **section}))


def save(path: Path, content: Any) -> Path:
    """Save an array or a dict of them in the way of the path's extension."""
    arrays = content if isinstance(content, dict) else {path.stem: content}
    if path.suffix == ".npy":
        np.save(path, content)
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".safetensors":
        save_file({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    else:
        named = isinstance(content, dict)
        torch.save({n: torch.from_numpy(a) for n, a in content.items()} if named else torch.from_numpy(content), path)
    return path


EVERY = ["ioi.pt", "ioi.pth", "ioi.npy", "ioi.npz", "ioi.safetensors"]


@pytest.mark.parametrize("name", EVERY)
def test_one_map(tmp_path: Path, name: str) -> None:
    scores = load(save(tmp_path / name, MAP), layers=3, heads=4)
    np.testing.assert_array_equal(scores.importance, MAP[None])
    assert scores.task_names == ("ioi",)
    assert (scores.method.name, scores.method.signed, scores.reduction) == ("unknown", False, "mean")


@pytest.mark.parametrize("name", EVERY)
def test_tasks_and_examples_are_told_apart_by_the_study_alone(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, CUBE)
    assert refusal(path) == (
        f'{name}: the file does not tell what the first axis of (6, 3, 4) is. Give [scores] axis = "example" or "task".'
    )
    tasks = load(path, axis="task")
    np.testing.assert_array_equal(tasks.importance, CUBE)
    assert tasks.task_names[5] == "Task 5"
    examples = load(path, axis="example", method="patching", unit="logit difference")
    np.testing.assert_allclose(examples.importance[0], CUBE.mean(0), rtol=1e-6)
    assert examples.examples[0] is not None
    np.testing.assert_array_equal(examples.examples[0].values, CUBE)
    assert (examples.task_names, examples.tasks[0].n, examples.method.unit) == (("ioi",), 6, "logit difference")


@pytest.mark.parametrize("name", ["a.pt", "a.npz", "a.safetensors"])
def test_named_arrays_are_tasks(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, {"induction": MAP, "ioi": MAP * 2})
    scores = load(path)
    assert set(scores.task_names) == {"induction", "ioi"}
    np.testing.assert_array_equal(scores.importance[scores.task_names.index("ioi")], MAP * 2)
    both = save(tmp_path / f"b{path.suffix}", {"induction": CUBE, "ioi": CUBE[:5]})
    assert refusal(both).startswith(f"{both.name}, induction: the file does not tell what the first axis of (6, 3, 4)")
    assert [t.n for t in load(both, axis="example").tasks] == [6, 5]
    assert refusal(both, axis="task") == (
        '[scores] axis = "task": the file\'s 2 named arrays are its tasks already. '
        'Give axis = "example", or save one array (task, layer, head).'
    )


def test_flat_stacks_are_unfolded_only_by_the_studys_numbers(tmp_path: Path) -> None:
    path = save(tmp_path / "flat.pt", MAP.ravel())
    np.testing.assert_array_equal(load(path, layers=3, heads=4).importance[0], MAP)
    assert refusal(path) == (
        "flat.pt: 12 numbers in one row do not tell layers from heads. "
        "Give [scores] layers and heads, whose product is 12."
    )
    assert refusal(path, layers=3, heads=5) == (
        "flat.pt: 12 numbers in one row are not 3 layers × 5 heads. "
        "Give [scores] layers and heads, whose product is 12."
    )
    stack = save(tmp_path / "stack.npy", CUBE.reshape(6, 12))
    np.testing.assert_array_equal(load(stack, layers=3, heads=4, axis="task").importance, CUBE)
    wide = save(tmp_path / "wide.npy", np.ones((2, 1024)))
    assert refusal(wide) == (
        "wide.npy: 1024 heads in one layer are hard to believe. "
        "Give [scores] layers and heads if each row is a flat map, or heads if it is one layer."
    )
    assert load(wide, heads=1024).n_heads == 1024


def test_numbers_below_zero_make_scores_signed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", MAP - 0.5)
    assert load(path).method.signed
    assert not load(path, signed=False).method.signed
    several = save(tmp_path / "b.pt", CUBE - 0.5)
    assert refusal(several, axis="example") == (
        "[scores] signed: there are scores below zero, and the file does not tell. Set it to true (importance is the "
        "mean over examples of |score|) or false (the mean of the scores)."
    )
    np.testing.assert_allclose(load(several, axis="example", signed=True).importance[0], abs(CUBE - 0.5).mean(0), 1e-5)
    np.testing.assert_allclose(load(several, axis="example", signed=False).importance[0], (CUBE - 0.5).mean(0), 1e-4)
    assert load(several, axis="task").method.signed


def test_what_pytorch_users_save(tmp_path: Path) -> None:
    """Parameters, halves, whole numbers, a tensor for each layer, lists, and files of old versions."""
    torch.save(torch.nn.Parameter(torch.from_numpy(MAP)), tmp_path / "parameter.pt")
    torch.save([torch.from_numpy(row) for row in MAP], tmp_path / "layers.pt")
    torch.save(MAP.tolist(), tmp_path / "lists.pt")
    torch.save(torch.from_numpy(MAP), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("parameter", "layers", "lists", "old"):
        np.testing.assert_array_equal(load(tmp_path / f"{name}.pt").importance[0], MAP)
    torch.save(torch.from_numpy(MAP).bfloat16(), tmp_path / "half.pt")
    np.testing.assert_allclose(load(tmp_path / "half.pt").importance[0], MAP, rtol=0.01)
    save_file({"half": torch.from_numpy(MAP).bfloat16()}, tmp_path / "half.safetensors")
    np.testing.assert_allclose(load(tmp_path / "half.safetensors").importance[0], MAP, rtol=0.01)
    torch.save(torch.arange(12).reshape(3, 4), tmp_path / "whole.pt")
    assert load(tmp_path / "whole.pt").importance[0, 2, 3] == 11


PLAIN = "Save tensors and nothing beside them."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"a": torch.ones(2, 3), "b": torch.ones(3, 2)},
            "task b: (3, 2) layers × heads, but task a has (2, 3). Score every task on one model.",
        ),
        ({"a": torch.ones(2, 3), "model": "gpt2"}, f"x.pt, model: this is no tensor, but a str. {PLAIN}"),
        ({"a": {"b": torch.ones(2, 3)}}, f"x.pt, a: this is no tensor, but a dict. {PLAIN}"),
        ({0: torch.ones(2, 3)}, "x.pt: the key 0 is no task name. Call each tensor after its task."),
        ({}, "x.pt: there is no array in this file. Save one (layer, head) array for each task."),
        ([], f"x.pt: this is no tensor, but a list. {PLAIN}"),
        (3.5, f"x.pt: this is no tensor, but a float. {PLAIN}"),
        (None, f"x.pt: this is no tensor, but a NoneType. {PLAIN}"),
        (
            [[1.0, 2.0], [3.0]],
            "x.pt: a list of unequal parts: number 0 has shape (2,), number 1 (1,). "
            "Give parts of one shape; nan marks a head that a layer lacks.",
        ),
        ([[[[[1.0]]]]], f"x.pt: this is no tensor, but a list. {PLAIN}"),
        (
            [[10**400]],
            "x.pt: inf at (0, 0) is no finite number (of 32 bits). "
            "Give finite numbers, or nan for a head the model lacks.",
        ),
        (
            torch.tensor(1.0),
            "x.pt: an array of shape () is no map of layers × heads. "
            "Save one array (layer, head) for each task, or (example, layer, head).",
        ),
        (
            torch.ones(2, 2, 2, 2),
            "x.pt: an array of shape (2, 2, 2, 2) is no map of layers × heads. "
            "Save one array (layer, head) for each task, or (example, layer, head).",
        ),
        (torch.ones(0, 3), "x.pt: float64 of shape (0, 3) holds no scores. Save an array of numbers."),
        (torch.ones(2, 3, dtype=torch.bool), "x.pt: bool of shape (2, 3) holds no scores. Save an array of numbers."),
        (
            torch.ones(2, 3, dtype=torch.complex64),
            "x.pt: complex64 of shape (2, 3) holds no scores. Save an array of numbers.",
        ),
        (
            torch.eye(3).to_sparse(),
            "x.pt: this tensor is no plain table of numbers. Save tensor.to_dense().cpu().float().",
        ),
        (
            torch.ones(2, 2, device="meta"),
            "x.pt: this tensor is no plain table of numbers. Save tensor.to_dense().cpu().float().",
        ),
        (
            torch.tensor([[1.0, float("-inf")]]),
            "x.pt: -inf at (0, 1) is no finite number (of 32 bits). "
            "Give finite numbers, or nan for a head the model lacks.",
        ),
        (
            torch.tensor([[1.0, 1e300]], dtype=torch.float64),
            "x.pt: 1e+300 at (0, 1) is no finite number (of 32 bits). "
            "Give finite numbers, or nan for a head the model lacks.",
        ),
        (
            torch.full((2, 2), float("nan")),
            "importance: every head is NaN. Give every head of the model a finite number on every task.",
        ),
        (
            {"a": torch.ones(1, 2), "b": torch.tensor([[float("nan"), 1.0]])},
            "task b, L0H0: importance is nan, but not in every task. "
            "Give every head of the model a finite number on every task.",
        ),
    ],
)
def test_tensors_that_do_not_fit(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "x.pt")
    assert refusal(tmp_path / "x.pt") == message


class Trap:
    """A pickle that makes a folder when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


ALONE = "Save tensors alone: torch.save(tensor.cpu(), path), or a dict of task name → tensor."


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    torch.save({"a": Trap(sprung)}, tmp_path / "a.pt")
    said = f"the file holds {os.mkdir.__module__}.mkdir, which is no tensor, and is not read: that could run code"
    assert refusal(tmp_path / "a.pt") == f"a.pt: {said}. {ALONE}"
    torch.save(Trap(sprung), tmp_path / "b_indirect_effect.pt")
    assert refusal(tmp_path / "b_indirect_effect.pt") == f"b_indirect_effect.pt: {said}. {ALONE}"
    for protocol in (2, 4):
        raw = written(tmp_path, pickle.dumps(Trap(sprung), protocol), "c.pt")
        assert refusal(raw).endswith(ALONE)
    trapped = np.array([[Trap(sprung)]], dtype=object)
    for name in ("d.npy", "head_importance.npy"):
        np.save(tmp_path / name, trapped, allow_pickle=True)
        assert refusal(tmp_path / name) == (
            f"{name}: this is no whole .npy file of plain numbers. "
            "Save the array with numpy.save(path, array, allow_pickle=False)."
        )
    written(tmp_path, pickle.dumps(Trap(sprung)), "e.npy")
    assert "no whole .npy file" in refusal(tmp_path / "e.npy")
    np.savez(tmp_path / "f.npz", a=trapped)
    assert refusal(tmp_path / "f.npz").startswith("f.npz: this is no archive of plain arrays (Object arrays cannot be")
    assert not sprung.exists()
    os.mkdir(sprung)  # the traps would have worked
    with pytest.raises(FileExistsError):
        pickle.loads(pickle.dumps(Trap(sprung)))


def test_numpy_objects_in_a_torch_file_are_named(tmp_path: Path) -> None:
    torch.save({"a": MAP}, tmp_path / "a.pt")
    said = refusal(tmp_path / "a.pt")
    assert said.startswith("a.pt: the file holds numpy")
    assert said.endswith(f"_reconstruct, which is no tensor, and is not read: that could run code. {ALONE}")


@pytest.mark.parametrize("name", ["a.pt", "a_indirect_effect.pt"])
def test_broken_torch_files(tmp_path: Path, name: str) -> None:
    torch.save(torch.ones(3, 4, 5), tmp_path / "whole.pt")
    torch.save(torch.ones(3, 4, 5), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    whole, old = (tmp_path / "whole.pt").read_bytes(), (tmp_path / "old.pt").read_bytes()
    for content in (b"", b"hello", b"\x80", whole[: len(whole) // 2], old[:-40], b"PK\x03\x04" + bytes(60)):
        said = refusal(written(tmp_path, content, name))
        assert said.startswith((f"{name}: this is no whole file of PyTorch tensors", f"{name}: the file holds more"))
        assert said.endswith(ALONE)


@pytest.mark.parametrize("name", ["a.npy", "head_importance.npy"])
def test_broken_npy_files(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "whole.npy", MAP)
    whole = (tmp_path / "whole.npy").read_bytes()
    huge = whole.replace(b"(3, 4)", b"(9999999999, 9999999999)", 1)
    for content in (b"", b"hello", whole[:5], whole[:40], whole[:-3], huge, whole.replace(b"<f4", b"|O8")):
        assert refusal(written(tmp_path, content, name)) == (
            f"{name}: this is no whole .npy file of plain numbers. "
            "Save the array with numpy.save(path, array, allow_pickle=False)."
        )
    np.save(tmp_path / name, np.array(["a", "b"]))
    assert refusal(tmp_path / name) == f"{name}: <U1 of shape (2,) holds no scores. Save an array of numbers."


def test_broken_archives(tmp_path: Path) -> None:
    save(tmp_path / "whole.npz", {"a": MAP})
    whole = (tmp_path / "whole.npz").read_bytes()
    for content in (b"", b"hello", whole[:-30]):
        assert refusal(written(tmp_path, content, "a.npz")).startswith("a.npz: this is no archive of plain arrays (")
    import zipfile

    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert refusal(tmp_path / "b.npz") == "b.npz: readme.txt in it is no array. Save plain arrays with numpy.savez."
    with zipfile.ZipFile(tmp_path / "c.npz", "w"):
        pass
    assert refusal(tmp_path / "c.npz") == (
        "c.npz: there is no array in this file. Save one (layer, head) array for each task."
    )


def test_an_axis_where_there_is_none(tmp_path: Path) -> None:
    assert refusal(save(tmp_path / "a.npy", MAP), axis="task") == (
        '[scores] axis = "task": no array of the file has a third axis. Remove the key.'
    )
    table = written(tmp_path, "task,layer,head,importance\na,0,0,1\n")
    assert refusal(table, axis="task") == "[scores] axis: the axes of tidy files are known. Remove the key."


def test_a_format_by_name_for_a_file_that_is_none(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, "x", "a.bin"), format="arrays") == (
        "a.bin: arrays are not stored under this extension. Use .pt, .npy, .npz or .safetensors."
    )


def test_torch_is_loaded_for_torch_files_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MAP)
    torch.save(torch.from_numpy(MAP), tmp_path / "a.pt")
    code = (
        "import sys; from reportgen import load_scores; folder = sys.argv[1]\n"
        "load_scores(folder + '/a.npy'); print('torch' in sys.modules)\n"
        "load_scores(folder + '/a.pt'); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("kind", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float16", "int16", "uint32"])
@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_numbers_of_every_width_are_read(tmp_path: Path, kind: str, name: str) -> None:
    values = torch.arange(12).reshape(3, 4).to(getattr(torch, kind))
    write = torch.save if name.endswith(".pt") else (lambda tensor, path: save_file({"a": tensor}, path))
    write(values, tmp_path / name)
    assert (load_scores(tmp_path / name).importance[0] == values.double().numpy()).all()


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "BOOL", "C64", "I64"])
def test_our_own_scores_of_another_type_are_refused(tmp_path: Path, kind: str) -> None:
    widths = {"BF16": 2, "F8_E4M3": 1, "BOOL": 1, "C64": 8, "I64": 8}
    size = 12 * widths[kind]
    tensor = {"dtype": kind, "shape": [1, 3, 4], "data_offsets": [0, size]}
    header = json.dumps({"__metadata__": {"reportgen": "{}"}, "importance": tensor}).encode()
    path = written(tmp_path, len(header).to_bytes(8, "little") + header + bytes(size), "scores.safetensors")
    told = "Give numbers of a type of F32, F64, F16."
    assert refusal(path) == f"scores.safetensors: importance in it is of type {kind}. {told}"


def test_tensors_that_promise_more_than_the_file_holds(tmp_path: Path) -> None:
    torch.save(torch.zeros(1).expand(30_000, 30_000), tmp_path / "a.pt")
    size = (tmp_path / "a.pt").stat().st_size
    hint = "Save tensors alone: torch.save(tensor.cpu(), path), or a dict of task name → tensor."
    assert refusal(tmp_path / "a.pt") == f"a.pt: its tensors promise more numbers than {size:,} bytes can hold. {hint}"
