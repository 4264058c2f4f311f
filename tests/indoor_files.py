"""Tiny ScanNet and S3DIS data sets in the official on-disk layouts, with labels that are known."""

from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyElement

XYZ = [("x", "f4"), ("y", "f4"), ("z", "f4")]
RGB = [("red", "u1"), ("green", "u1"), ("blue", "u1")]
ALL_NYU = np.arange(41)


def random_vertices(labels: np.ndarray, label_type: str = "u2", seed: int = 0) -> np.ndarray:
    """Return a structured array of vertices with these labels, all else drawn."""
    random = np.random.default_rng(seed)
    vertices = np.zeros(len(labels), [*XYZ, *RGB, ("alpha", "u1"), ("label", label_type)])
    for name in "xyz":
        vertices[name] = random.uniform(0, 5, len(labels))
    for name, _ in RGB:
        vertices[name] = random.integers(0, 256, len(labels))
    vertices["alpha"], vertices["label"] = 255, labels
    return vertices


def write_ply(path: Path, vertices: np.ndarray, without: tuple[str, ...] = (), text: bool = False) -> None:
    """Write vertices, but for some properties, and some triangles."""
    kept = np.empty(
        len(vertices), [(name, vertices.dtype[name]) for name in vertices.dtype.names if name not in without]
    )
    for name in kept.dtype.names:
        kept[name] = vertices[name]
    faces = np.zeros(3, [("vertex_indices", "i4", (3,))])
    path.parent.mkdir(parents=True, exist_ok=True)
    elements = [PlyElement.describe(kept, "vertex"), PlyElement.describe(faces, "face")]
    PlyData(elements, text=text, byte_order="<").write(str(path))


def scan_files(root: Path, scene_id: str) -> tuple[Path, Path]:
    """Return the places of an official scan's points and labels."""
    stem = root / "scans" / scene_id / f"{scene_id}_vh_clean_2"
    return stem.with_suffix(".ply"), stem.with_suffix(".labels.ply")


def write_scan(root: Path, scene_id: str, labels: np.ndarray = ALL_NYU, seed: int = 0) -> np.ndarray:
    """Write an official scan with these NYU ids; return its vertices."""
    vertices = random_vertices(labels, seed=seed)
    points, labelled = scan_files(root, scene_id)
    write_ply(points, vertices, without=("label",))
    write_ply(labelled, vertices)
    return vertices


def write_lists(root: Path, train: list[str], val: list[str]) -> None:
    """Write the split lists."""
    root.mkdir(parents=True, exist_ok=True)
    for name, ids in (("train", train), ("val", val)):
        (root / f"scannetv2_{name}.txt").write_text("\n".join(ids) + "\n")


def write_room(root: Path, room: str, objects: dict[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    """Write AREA/ROOM/Annotations/NAME.txt with so many points each; return the points by name."""
    random = np.random.default_rng(seed)
    folder = root / "Stanford3dDataset_v1.2_Aligned_Version" / room / "Annotations"
    folder.mkdir(parents=True)
    written = {}
    for name, n in objects.items():
        values = np.concatenate([random.uniform(-20, 20, (n, 3)).round(3), random.integers(0, 256, (n, 3))], 1)
        np.savetxt(folder / f"{name}.txt", values, fmt="%.3f %.3f %.3f %d %d %d")
        written[name] = values
    return written
