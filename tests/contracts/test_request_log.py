"""Templates of request log lines: fields, escaping, refusals."""

from __future__ import annotations

import json

import pytest

from tidegate.contracts.request_log import DEFAULT, FIELDS, Entry, Template

ENTRY = Entry("GET", "/a?b=1", "h.example", "HTTP/1.1", "10.0.0.1", status=200, latency_s=0.0123, revision="r")


def test_the_default_is_json_in_knatives_form():
    line = json.loads(Template(DEFAULT).render(ENTRY))
    request = line["httpRequest"]
    assert (request["requestMethod"], request["requestUrl"], request["status"]) == ("GET", "/a?b=1", 200)
    assert (request["latency"], request["requestSize"], line["traceId"]) == ("0.012300s", "-1", "")


@pytest.mark.parametrize("text", ['x" , "status": 1, "y": "', "a\r\nb", "\u2028\x00\\", "{{.TraceID}}"])
def test_no_client_can_break_out_of_its_field(text):
    entry = Entry(text, text, text, text, text, text, text)
    rendered = Template(DEFAULT).render(entry)
    assert len(rendered.splitlines()) == 1
    assert json.loads(rendered)["httpRequest"]["userAgent"] == text


def test_every_field_renders_and_js_changes_nothing():
    for name in FIELDS:
        assert Template(f"{{{{.{name}}}}}").render(ENTRY) == Template(f" {{{{ js .{name} }}}}\n").render(ENTRY)


@pytest.mark.parametrize("text", ["{{.Nothing}}", "{{if .TraceID}}x{{end}}", "{{}}", "{{.TraceID", "{{.Request}}"])
def test_what_is_no_field_is_refused(text):
    with pytest.raises(ValueError, match=r"not a field|no end"):
        Template(text)


def test_a_template_of_several_lines_makes_one():
    assert Template("a\n{{.Revision.Name}}\nb\n").render(ENTRY) == "a r b"
