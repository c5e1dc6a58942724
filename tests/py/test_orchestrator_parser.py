"""AIOpsLab's grammar, restated: what its parser takes, what it makes of it, and what it answers."""

import pytest

from aiopslab.orchestrator.parser import ResponseParser
from aiopslab.utils.status import ResponseParsingError

BOTH = [ResponseParser(strict=True), ResponseParser()]


def fenced(code):
    return f"Action:\n```\n{code}\n```"


def read(parser, text):
    parsed = parser.parse(text)
    return parsed["api_name"], parsed["args"], parsed["kwargs"]


@pytest.mark.parametrize("parser", BOTH, ids=["strict", "mended"])
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("submit()", ("submit", [], {})),
        ('submit("Yes")', ("submit", ["Yes"], {})),
        ('submit(has_anomaly="Yes")', ("submit", [], {"has_anomaly": "Yes"})),
        ("submit(['geo', 'rate'])", ("submit", [["geo", "rate"]], {})),
        ("submit([])", ("submit", [[]], {})),
        ("submit(('geo', 'rate'))", ("submit", [["geo", "rate"]], {})),
        (
            'submit({"system_level": "Application", "fault_type": "Misconfiguration"})',
            ("submit", [{"system_level": "Application", "fault_type": "Misconfiguration"}], {}),
        ),
        ("submit(None)", ("submit", [None], {})),
        ("submit(True, 1.5)", ("submit", [True, 1.5], {})),
        ('get_logs("test-hotel-reservation", "geo")', ("get_logs", ["test-hotel-reservation", "geo"], {})),
        ('get_metrics(namespace="ns", duration=10)', ("get_metrics", [], {"namespace": "ns", "duration": 10})),
        ('exec_shell("kubectl get pods")', ("exec_shell", ["kubectl get pods"], {})),
        ("exec_shell('echo \"a b\"')", ("exec_shell", ['echo "a b"'], {})),
        ('exec_shell("echo (x)")', ("exec_shell", ["echo (x)"], {})),
        ("exec_shell(\"echo '{.items}'\")", ("exec_shell", ["echo '{.items}'"], {})),
    ],
)
def test_calls_that_both_grammars_take(parser, code, expected):
    assert read(parser, fenced(code)) == expected


@pytest.mark.parametrize(
    "text",
    [
        'exec_shell("ls")',
        '```exec_shell("ls")```',
        '```bash\nexec_shell("ls")\n```',
        '```python\nexec_shell("ls")\n```',
        '```\nexec_shell("ls")\n  ```',
        '```\nexec_shell("ls")\n```\nand then\n```\nsubmit()\n```',
    ],
)
def test_strict_wants_exactly_one_bare_block_and_mended_does_not(text):
    with pytest.raises(ResponseParsingError, match=r"^Error parsing response: \nFormat validation failure\. Only have one pair"):
        ResponseParser(strict=True).parse(text)
    assert read(ResponseParser(), text) == ("exec_shell", ["ls"], {})


def test_format_failures_show_two_examples():
    with pytest.raises(ResponseParsingError) as failure:
        ResponseParser(strict=True).parse("I do not know")
    assert 'exec_shell("ls")' in str(failure.value)
    assert 'exec_shell("kubectl get services --all-namespaces")' in str(failure.value)


def test_text_may_stand_before_the_block_on_its_line():
    for parser in BOTH:
        assert read(parser, "Action:```\nsubmit()\n```") == ("submit", [], {})


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("submit", "Error parsing response: No API call found!"),
        ("exec_shell(ls)", "Error parsing response: Error when parsing response: commands must be quoted strings"),
        ('exec_shell("ls", timeout=5)', "Error parsing response: Error when parsing response: commands must be quoted strings"),
        ("submit(yes)", "Error parsing response: Error parsing response: Unsupported AST node type: <class 'ast.Name'>"),
        ("submit(-1)", "Error parsing response: Error parsing response: Unsupported AST node type: <class 'ast.UnaryOp'>"),
        ("submit([('a',)])", "Error parsing response: Error parsing response: Unsupported AST node type: <class 'ast.Tuple'>"),
    ],
)
def test_what_strict_refuses_and_how(code, message):
    with pytest.raises(ResponseParsingError) as failure:
        ResponseParser(strict=True).parse(fenced(code))
    assert str(failure.value) == message


def test_commands_that_strict_breaks():
    code = fenced(r'exec_shell("echo \"hi\"")')
    assert ResponseParser(strict=True).parse(code)["args"] == ['echo "hi\\']
    assert ResponseParser().parse(code)["args"] == ['echo "hi"']
    assert ResponseParser(strict=True).parse(fenced('exec_shell("a","b")'))["args"] == ['a","b']


def test_the_name_is_whatever_stands_before_the_parenthesis_in_strict():
    assert read(ResponseParser(strict=True), fenced("I call submit()"))[0] == "I call submit"
    assert read(ResponseParser(), fenced("I call submit()"))[0] == "submit"


def test_a_timeout_can_be_given():
    for code in ('exec_shell("ls", 90)', 'exec_shell("ls", timeout=90)'):
        assert read(ResponseParser(), fenced(code)) == ("exec_shell", ["ls"], {"timeout": 90})


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("Thought: look.\nAction:\n```\nsubmit()\n```", ["Thought: look.\nAction:"]),
        ("one\n```\nsubmit()\n```\ntwo", ["one", "two"]),
        ("```\nsubmit()\n```", []),
    ],
)
def test_context_is_what_stands_around_the_block(text, context):
    for parser in BOTH:
        assert parser.parse(text)["context"] == context


@pytest.mark.parametrize("text", ["", "```", "\ud800", "(" * 10_000, "```\n" + "f(" * 5_000 + "\n```", "x" * 300_000])
def test_no_text_is_fatal(text):
    for parser in BOTH:
        with pytest.raises(ResponseParsingError):
            parser.parse(text)
