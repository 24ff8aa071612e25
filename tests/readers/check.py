"""Reads each of the eleven files of a conversation with a reader that is not stenod's.

    check.py FOLDER SCHEMAS CASES

FOLDER holds talk.txt, talk.json and so on; SCHEMAS holds the schemas of the two JSON formats; CASES holds
the folders of the renderers' tests, hostile names and texts among them. Fails on the first file that its
reader does not take, or that does not hold what the text holds.
"""

import csv
import json
import re
import sys
from pathlib import Path

import jsonschema
import pylrc
import pysubs2
import srt
import webvtt
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pyannote.database.util import load_rttm

FOLDER, SCHEMAS, CASES = (Path(argument) for argument in sys.argv[1:4])
SPEAKERS = 2


def text_of(suffix):
    return (FOLDER / f"talk.{suffix}").read_text(encoding="utf-8")


def words(text):
    """The words in small letters, without the labels that a text names its speakers by."""
    return re.findall(r"[\w']+", re.sub(r"Speaker \d+:", "", text).lower())


def in_order(spans):
    """Spans as (start, end): none is empty, none begins before the one before has ended."""
    assert spans, "no spans"
    assert all(start < end for start, end in spans), spans
    assert all(one[1] <= next[0] for one, next in zip(spans, spans[1:])), spans


SPOKEN = words(text_of("txt"))
assert len(SPOKEN) > 20, SPOKEN


def says_all(text):
    said = words(text)
    assert said == SPOKEN, f"{said}\nis not\n{SPOKEN}"


def read_json():
    document = json.loads(text_of("json"))
    schema = json.loads((SCHEMAS / "transcript.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    says_all(" ".join(segment["text"] for segment in document["segments"]))
    # What reads WhisperX' output looks for these.
    assert {"language", "segments"} <= document.keys()
    for segment in document["segments"]:
        assert {"start", "end", "text", "speaker", "words"} <= segment.keys(), segment
        assert all({"word", "start", "end"} <= word.keys() for word in segment["words"])


def read_diarization():
    document = json.loads(text_of("diarization.json"))
    schema = json.loads((SCHEMAS / "diarization.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    assert len(document["speakers"]) == SPEAKERS


def read_srt():
    cues = list(srt.parse(text_of("srt"), ignore_errors=False))
    in_order([(cue.start.total_seconds(), cue.end.total_seconds()) for cue in cues])
    again = pysubs2.load(str(FOLDER / "talk.srt"))
    assert len(again) == len(cues)
    says_all("\n".join(cue.content for cue in cues))


def read_vtt():
    cues = list(webvtt.read(str(FOLDER / "talk.vtt")))
    in_order([(cue.start_in_seconds * 1000 + cue.start_time.milliseconds,
               cue.end_in_seconds * 1000 + cue.end_time.milliseconds) for cue in cues])
    assert len({cue.voice for cue in cues if cue.voice}) == SPEAKERS
    says_all(" ".join(cue.text for cue in cues))


def read_rttm():
    annotations = load_rttm(str(FOLDER / "talk.rttm"))
    assert len(annotations) == 1, annotations
    (annotation,) = annotations.values()
    assert len(annotation.labels()) == SPEAKERS


def read_md():
    _, front, body = text_of("md").split("---\n", 2)
    fields = yaml.safe_load(front)
    assert isinstance(fields, dict) and fields, fields
    assert set(SPOKEN) <= set(words(body))


def read_tsv():
    rows = list(csv.DictReader(text_of("tsv").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert all(int(row["start"]) < int(row["end"]) for row in rows), rows
    says_all(" ".join(row["text"] for row in rows))


def read_podcast():
    document = json.loads(text_of("podcast.json"))
    assert document["version"] == "1.0.0", document["version"]
    for segment in document["segments"]:
        assert segment["startTime"] < segment["endTime"] and segment["speaker"], segment
    says_all(" ".join(segment["body"] for segment in document["segments"]))


def read_lrc():
    lines = pylrc.parse(text_of("lrc"))
    times = [line.time for line in lines]
    assert times and times == sorted(times), times
    assert set(SPOKEN) <= set(words(" ".join(line.text for line in lines)))


def read_raw():
    assert "transcription" in json.loads(text_of("raw.json"))


def expected(case, suffix):
    """A file of a case, and what stands in it; nothing where the case has none."""
    path = case / f"expected.{suffix}"
    return (path, path.read_text(encoding="utf-8")) if path.exists() else (path, None)


def read_case(case):
    """Every file of a case: each is taken, and speakers have the same names in all of them."""
    document = json.loads(expected(case, "json")[1])
    names = [speaker.get("name", speaker["label"]) for speaker in document["speakers"]]
    _, front, body = expected(case, "md")[1].split("---\n", 2)
    fields = yaml.safe_load(front)
    assert fields.get("speakers", []) == names, fields
    assert all(isinstance(fields[key], str) for key in ("title", "source", "duration")), fields
    assert fields["title"] + Path(fields["source"]).suffix == document["source"]["file_name"], fields
    if "language" in fields:
        assert fields["language"] == document["language"], fields
    path, text = expected(case, "srt")
    if text is not None:
        cues = list(srt.parse(text, ignore_errors=False))
        assert not cues or in_order([(cue.start, cue.end) for cue in cues]) is None
        # SubRip has no escapes, and this reader takes any two times in a line of text for those of a cue.
        # Of a file without captions it says that it knows no such format.
        if cues and not any(re.search(r"\d:\d\d.*\d:\d\d", cue.content, re.DOTALL) for cue in cues):
            assert len(pysubs2.load(str(path))) == len(cues)
    path, text = expected(case, "vtt")
    if text is not None:
        captions = list(webvtt.read(str(path)))
        assert len(captions) == len(cues), (len(captions), len(cues))
        times = [(line.start_time.in_seconds(), line.end_time.in_seconds()) for line in captions]
        assert all(one[1] <= next[0] for one, next in zip(times, times[1:])), times
    path, text = expected(case, "rttm")
    if text:
        annotations = load_rttm(str(path))
        assert len(annotations) == 1, annotations
    path, text = expected(case, "lrc")
    if text is not None:
        times = [line.time for line in pylrc.parse(text)]
        assert times == sorted(times), times
    path, text = expected(case, "tsv")
    if text is not None:
        rows = list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
        assert len(rows) == len(document["segments"]) or document["timing"] in ("none", "pieces"), rows


def read_metrics():
    page = (FOLDER / "metrics.txt").read_text(encoding="utf-8")
    families = list(text_string_to_metric_families(page))
    assert len(families) > 15, families
    for family in families:
        assert family.type in ("counter", "gauge"), family
        assert family.documentation.endswith("."), family
        assert family.samples, family
    states = {
        sample.labels["state"]: sample.value
        for family in families
        if family.name == "stenod_jobs"
        for sample in family.samples
    }
    assert states["done"] == 1 and states["failed"] == 0, states


READERS = {
    "metrics": read_metrics,
    "json": read_json,
    "diarization": read_diarization,
    "srt": read_srt,
    "vtt": read_vtt,
    "rttm": read_rttm,
    "md": read_md,
    "tsv": read_tsv,
    "podcast": read_podcast,
    "lrc": read_lrc,
    "raw": read_raw,
}

for name, read in READERS.items():
    try:
        read()
    except Exception as error:
        sys.exit(f"{name} was not accepted: {type(error).__name__}: {error}")
cases = sorted(case for case in CASES.iterdir() if case.is_dir())
assert len(cases) > 5, cases
for case in cases:
    try:
        read_case(case)
    except Exception as error:
        sys.exit(f"{case.name} was not accepted: {type(error).__name__}: {error}")
print(f"{len(cases)} cases of hostile and odd transcripts read")
print(f"{len(READERS)} formats read, txt among them, and the page of metrics: {' '.join(READERS)}")
