"""Whatever strangers write - file names, causes, options, machines - stays text in everything that a report writes."""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from gainbench.report.build import build_report

from .conftest import Bench, make_rows, make_samples


def hostile(mark: str) -> str:
    return f"<script>{mark}()</script><img src=x onerror={mark}()>\"'><svg/onload={mark}()>&lt;b&gt;"


class Elements(HTMLParser):
    """Every element with its attributes, and all text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " ".join(value or "" for _, value in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    made = Bench(
        root, question=hostile("question"), narrowed=(hostile("narrowed"),), footnotes=(hostile("footnote"),),
        metrics=("psnr_rgb", "fid"),
    )  # fmt: skip
    rows = make_rows(0.0, 0, metrics=["psnr_rgb"], photographs=4)
    rows["image_id"] = rows["image_id"] + hostile("image")
    rows["photograph"] = rows["photograph"] + hostile("image")
    rows["mask_id"] = rows["mask_id"] + hostile("hole")
    named = "gain[guidance=<script>option()</script><img src=x onerror=option()>]"
    made.done(named, rows, missing={"fid": hostile("missing")})
    made.done("telea", rows, missing={"fid": hostile("missing")})
    environment = {
        "python": hostile("version"),
        "packages": {hostile("package"): hostile("version")},
        "device": hostile("device"),
        "commit": hostile("commit"),
        "processor": hostile("device"),
    }
    for place, cell in enumerate(made.cells):
        result = cell.result.model_copy(update={"environment": environment})
        made.cells[place] = type(cell)(cell.spec, cell.folder, cell.status, result)
        make_samples(cell.folder, 30)
        index = cell.folder / "samples" / "samples.json"
        index.write_text(index.read_text().replace("000/0", "a/<script>image()<img src=x onerror=image()>"))
    made.failed("partial_conv", "failed", hostile("cause"))
    last = made.cells[-1]
    status = last.status.model_copy(update={"log_tail": (hostile("log"),)})
    made.cells[-1] = type(last)(last.spec, last.folder, status, None)
    stored = made.stored()
    record = stored.resolved.datasets["photos-230"].model_copy(update={"path": Path(hostile("path").replace("/", "|"))})
    resolved = stored.resolved.model_copy(update={"datasets": {"photos-230": record}})
    stored = type(stored)(stored.root, resolved, stored.cells, stored.rows, stored.set_metrics)
    build_report(stored, root / "out")
    return root / "out"


def test_the_page_has_no_element_and_no_attribute_of_theirs(report: Path) -> None:
    page = Elements()
    page.feed((report / "report.html").read_text(encoding="utf-8"))
    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    assert scripts == [{}]  # the page's own
    for _, attributes in page.elements:
        assert [name for name in attributes if name.startswith("on")] == []
        assert attributes.get("src") != "x"
        assert "javascript:" not in (attributes.get("href") or "")


@pytest.mark.parametrize("mark", ["question", "narrowed", "footnote", "missing", "cause", "log", "option", "image"])
def test_the_page_shows_what_they_wrote_as_they_wrote_it(report: Path, mark: str) -> None:
    page = Elements()
    page.feed((report / "report.html").read_text(encoding="utf-8"))
    assert f"<script>{mark}()<" in page.text


def test_markdown_has_no_element_of_theirs(report: Path) -> None:
    pages = list((report / "tables").glob("*.md"))
    assert pages
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text
        assert "<img" not in text
        assert "script>cause()" in text


def test_drawings_have_no_element_of_theirs(report: Path) -> None:
    drawings = list((report / "plots").glob("*.svg"))
    assert drawings
    for path in drawings:
        for element in ET.fromstring(path.read_bytes()).iter():  # noqa: S314 - our own
            assert element.tag.rpartition("}")[2] not in {"script", "img"}
            assert [name for name in element.attrib if name.startswith("on")] == []


def test_names_of_written_files_are_plain(report: Path) -> None:
    names: Callable[[Path], str] = lambda path: path.relative_to(report).as_posix()  # noqa: E731
    assert [names(path) for path in report.rglob("*") if set("<>\"'&|") & set(names(path))] == []
