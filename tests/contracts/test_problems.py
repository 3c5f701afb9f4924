"""How validation problems are worded, placed and merged."""

from tidegate.contracts import problems
from tidegate.contracts.problems import FieldProblem


def test_render_is_message_then_paths_then_details():
    assert (
        FieldProblem("invalid value: x", ("spec.a", "spec.b"), "why").render()
        == "invalid value: x: spec.a, spec.b\nwhy"
    )


def test_under_builds_paths_through_maps_and_lists():
    inner = [problems.missing("image")]
    nested = problems.under("spec.template.spec", problems.at_index("containers", 0, inner))
    assert problems.render(nested) == "missing field(s): spec.template.spec.containers[0].image"


def test_under_places_a_problem_without_path_at_the_parent():
    assert problems.under("spec", [FieldProblem("bad")])[0].paths == ("spec",)


def test_equal_messages_share_a_line_and_lines_are_sorted():
    text = problems.render([problems.missing("b"), problems.disallowed("z"), problems.missing("a")])
    assert text == "missing field(s): a, b\nmust not set the field(s): z"


def test_wordings():
    assert problems.out_of_bounds(7, 0, 5, "p").message == "expected 0 <= 7 <= 5"
    assert problems.invalid_key("k", "p").message == 'invalid key name "k"'
    assert problems.expected_one_got_both("a", "b").message == "expected exactly one, got both"
    assert problems.expected_one_got_neither("a", "b").message == "expected exactly one, got neither"
