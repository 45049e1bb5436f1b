"""Templates are strangers' code: what they may not do fails at once, in this process already."""

from __future__ import annotations

import pytest

from trainer.data.templates.sandbox import (
    MAX_CHARACTERS,
    MAX_SOURCE,
    TemplateError,
    compile_template,
)

ESCAPES = [
    "{{ ''.__class__ }}", "{{ ''.__class__.__mro__ }}", "{{ ''['__class__'].__mro__[1] }}",
    "{{ ''|attr('__class__')|attr('__mro__') }}", "{{ ''|attr('_' ~ '_class_' ~ '_') }}",
    "{{ messages|map(attribute='__class__')|list }}",
    "{{ messages.__class__.__base__.__subclasses__() }}",
    "{{ cycler.__init__.__globals__ }}", "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}", "{{ namespace.__init__.__globals__ }}",
    "{{ raise_exception.__globals__ }}", "{{ strftime_now.__globals__['json'] }}",
    "{{ range.__class__.__base__ }}", "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}", "{{ dict.mro() }}",
    "{{ '{0.__class__}'.format(messages) }}", "{{ '{0.__class__.__mro__}'.format('') }}",
    "{{ '{a.__class__}'.format_map({'a': ''}) }}", "{{ '%s' | format(messages.__class__) }}",
    "{{ (messages | first).__init__.__globals__ }}", "{{ loop.__init__.__globals__ }}",
    "{% for m in messages %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "{% macro f() %}{% endmacro %}{{ f.__call__.__func__.__globals__ }}",
    "{{ (none | string).__class__.__base__ }}",
    "{% include '/etc/passwd' %}", "{% import '/etc/passwd' as x %}", "{% extends '/etc/passwd' %}"]
FLOODS = [
    "{{ 'a' * 10**9 }}", "{{ 10**9 * 'a' }}", "{{ [0] * 10**9 }}", "{{ (0,) * 10**9 }}",
    "{{ 10 ** 10 ** 10 }}", "{{ 2 ** 100000 }}", "{% for i in range(10**9) %}x{% endfor %}",
    "{{ range(10**9) | list }}", "{{ 'a'.ljust(10**9) }}", "{{ 'a'.center(10**9) }}",
    "{{ '1'.zfill(10**9) }}", "{{ 'a' | center(10**9) }}", "{{ 'a\nb' | indent(10**9) }}",
    "{{ messages | tojson(indent=10**9) }}", "{{ '%1000000000d' % 1 }}", "{{ '%*d' % (10**9, 1) }}",
    "{{ '%1000000000d' | format(1) }}", "{{ '{:>1000000000}'.format(1) }}",
    "{{ '{:>{w}}'.format(1, w=10**9) }}", "{{ [1] | batch(10**9, 0) | list }}",
    "{{ lipsum(n=9999) }}",
    "{% for i in range(9999) %}{{ 'y' * 9999 }}{% endfor %}",
    "{% for a in range(99999) %}{% for b in 'xxxxxxxxx' %}{{ 'z' * 99 }}{% endfor %}{% endfor %}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"]
REFUSALS = [
    "{{ messages.append(1) }}", "{{ messages.clear() }}", "{{ messages[0].update(role='x') }}",
    "{% set x = messages.pop() %}", "{{ 1 / 0 }}", "{{ 'a' + 1 }}", "{{ messages[7].content }}",
    "{{ none.content.x }}", "{{ nothing.content }}", "{{ raise_exception('no') }}",
    "{{ '%d' % 'a' }}", "{{ 1 | tojson(indent='a', x=1) }}", "{{ strftime_now() }}"]


@pytest.mark.parametrize("source", ESCAPES)
def test_nothing_leads_out_of_the_sandbox(source: str) -> None:
    try:
        text = compile_template(source).render({"messages": [{"role": "user", "content": "Hi"}]})
    except TemplateError as error:
        assert error.code in ("template_unsafe", "template_refused", "template_broken")
        assert error.advice
    else:
        assert not any(word in text for word in ("class '", "function", "module", "built-in"))


@pytest.mark.parametrize("source", [*FLOODS, *REFUSALS])
def test_what_is_too_much_or_wrong_is_refused_at_once(source: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(source).render({"messages": [{"role": "user", "content": "Hi"}]})
    assert caught.value.advice
    assert len(str(caught.value)) < 400


def test_a_message_stays_as_it_is_after_a_template_tried_to_change_it() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    for source in REFUSALS[:4]:
        with pytest.raises(TemplateError):
            compile_template(source).render({"messages": messages})
    assert messages == [{"role": "user", "content": "Hi"}]


def test_much_but_not_too_much_is_rendered() -> None:
    loop = "{% for i in range(1000) %}{{ 'y' * 1000 }}{% endfor %}"
    assert len(compile_template(loop).render({})) == 1_000_000
    wide = compile_template("{{ text }}")
    assert wide.render({"text": "x" * (MAX_CHARACTERS - 1)})
    with pytest.raises(TemplateError) as caught:
        compile_template("{{ text }}{{ text }}").render({"text": "x" * (MAX_CHARACTERS - 1)})
    assert caught.value.code == "template_output"


@pytest.mark.parametrize("source", ["{% if %}", "{{ x", "{% generation %}", "{% endgeneration %}",
                                    "{{ x | nothing }}", "x" * (MAX_SOURCE + 1),
                                    "{{ " + "(" * 5000 + ")" * 5000 + " }}"],
                         ids=range(7))
def test_what_is_no_template_is_refused(source: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(source)
    assert caught.value.code == "template_broken"


def test_attributes_of_messages_are_those_that_jinja_finds() -> None:
    message = {"role": "user", "content": "Hi", "items": "own"}
    template = compile_template("{{ m.role }}|{{ m.nothing }}|{{ m.nothing is defined }}|"
                                "{{ m['items'] }}|{{ m.get('role') }}|{{ m.items() | length }}")
    assert template.render({"m": message}) == "user||False|own|user|3"
    template = compile_template("{% set ns = namespace(a=1) %}{{ ns.a }}{{ ns.b is defined }}"
                                "{% for x in 'ab' %}{{ loop.first }}{{ loop.b is defined }}"
                                "{{ loop.cycle('c', 'd') }}{% endfor %}")
    assert template.render({}) == "1FalseTrueFalsecFalseFalsed"
    with pytest.raises(TemplateError, match="nothing"):
        compile_template("{{ m.nothing.more }}").render({"m": message})


def test_only_a_real_tag_makes_a_template_marked() -> None:
    assert compile_template("{% generation %}x{% endgeneration %}").has_marks
    assert not compile_template("{# {% generation %} #}x").has_marks
    assert not compile_template("{{ '{% generation %}' }}\ufdd0").has_marks


def test_what_is_set_inside_a_mark_stays_inside() -> None:
    template = compile_template("{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}"
                                "{% endgeneration %}{{ x }}")
    assert template.render({}) == "\ufdd02\ufdd11"
