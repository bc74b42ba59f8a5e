"""Fuzz the suite parser: any text is a suite that survives being written and read, or a SpecError of bounded length."""

import atheris
import campaign

with atheris.instrument_imports(include=["gainbench", "yaml"]):
    import yaml

    from gainbench.errors import SpecError
    from gainbench.spec import SUITES, MethodSpec, Suite, suite_from, suite_names

WORDS = [
    *(f"{field}: " for field in Suite.model_fields),
    *(
        "&a ",
        "*a",
        "<<: *a",
        "!!int ",
        "---",
        "[telea]",
        "telea[radius=3]",
        "params: {",
        "protocol: ",
        "bins: [[0.1, 0.2]]",
    ),
    *(".nan", ".inf", "0x_", "0b1", "2001-13-01", "null", "true", "1:30", "1.0e+5", "? ", "| ", "> ", "%YAML 1.1"),
]


def judge(data: bytes) -> None:
    """Raise if the bytes, as UTF-8 text, bring the parser to anything but a suite or a clear error."""
    text = data.decode("utf-8", "replace")
    try:
        suite = suite_from(text, "suite.yaml")
    except SpecError as error:
        if len(str(error)) > 5000:
            raise AssertionError("a message of more than 5,000 characters") from error
    else:
        again = suite_from(yaml.safe_dump(suite.model_dump(mode="json")), "again.yaml")
        if again != suite:
            raise AssertionError(f"{suite!r} comes back as {again!r}")
    try:
        method = MethodSpec.parse(text)
    except SpecError:
        return
    if MethodSpec.parse(method.label) != method:
        raise AssertionError(f"{method!r} comes back as {MethodSpec.parse(method.label)!r}")


if __name__ == "__main__":
    shipped = [(SUITES / f"{name}.yaml").read_bytes() for name in suite_names()]
    full = b"""name: a
datasets: [folder]
methods: [telea, 'gain[guidance=canny,base=16]', {name: x, params: &p {a: 1.5, b: [1, two]}}, {name: y, params: *p}]
masks: {protocol: folder, path: /x, pairing: hash, bins: [[0.1, 0.2]], borders: [clear], seed: 3, invert: true}
metrics: [l1_hole]
seeds: [0, 1]
samples: all
"""
    texts = [b"gain[a='x, y',b=[1, 2],c={d: null}]", b'gain[a="\\u00e9\\"",b=1e-05]']
    campaign.run("suite-parser", judge, [*shipped, full, *texts], WORDS)
