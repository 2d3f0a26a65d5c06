#include <lazuli/lm/chat/chat_template.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#ifndef LAZULI_SHARED
#define LAZULI_SHARED "../shared"
#endif

namespace lazuli::lm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

fs::path fixtures() {
  return fs::path(LAZULI_FIXTURES) / "chat";
}

// Noon, local time.
std::chrono::system_clock::time_point noon(int year, int month, int day) {
  std::tm time{};
  time.tm_year = year - 1900;
  time.tm_mon = month - 1;
  time.tm_mday = day;
  time.tm_hour = 12;
  time.tm_isdst = -1;
  return std::chrono::system_clock::from_time_t(std::mktime(&time));
}

ChatInput to_input(const Json& json) {
  ChatInput input;
  input.messages = json["messages"];
  input.tools = json["tools"];
  input.add_generation_prompt = json["add_generation_prompt"].get<bool>();
  if (json.contains("bos_token")) input.bos_token = json["bos_token"].get<std::string>();
  if (json.contains("eos_token")) input.eos_token = json["eos_token"].get<std::string>();
  return input;
}

const Json& sample_variables() {
  static const Json variables = Json::parse(R"({
    "d": {"b": 1, "A": 2, "c": [1, {"x": null}]},
    "l": [3, 1, 2],
    "w": ["b", "A", "a"],
    "s": "Hello, World",
    "u": "Ärger жук",
    "n": 5, "f": 2.5, "t": true, "z": null,
    "users": [{"name": "bob", "age": 3}, {"name": "Al", "age": 3}, {"name": "cy", "age": 1}]
  })");
  return variables;
}

std::string render(const std::string& source, const Json& variables = sample_variables()) {
  ChatInput input;
  input.variables = variables;
  input.now = noon(2026, 3, 7);
  return ChatTemplate(source).render(input);
}

// What goes wrong with a template, as a message.
std::string error_of(const std::string& source) {
  try {
    return "no error, but: " + render(source);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

struct Case {
  const char* source;
  const char* expected;
};

void expect_all(const std::vector<Case>& cases) {
  for (const Case& each : cases) {
    try {
      EXPECT_EQ(render(each.source), each.expected) << each.source;
    } catch (const std::exception& error) {
      ADD_FAILURE() << each.source << "\n" << error.what();
    }
  }
}

TEST(ChatTemplateTest, TrimsWhiteSpaceAroundTags) {
  expect_all({
      {"a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a\n  b\nc"},
      {"a\n  {%- if true -%}\n  b\n  {%- endif -%}\nc\n", "abc"},
      {"a\n  {%+ if true %}\n  b\n  {%+ endif +%}\nc\n", "a\n    b\n  \nc"},
      {"  {{ 1 }}\n  {{- 2 }}\n {{ 3 -}}\n x", "  12\n 3x"},
      {"  {# c #}\n b\n  {#- c -#}\n d {# e #} \n f", " bd  \n f"},
      {"{% if true %}{% endif %}  {% if true %}q{% endif %}", "  q"},
      {"{% raw %}{{ x }}{% if %}{% endraw %}", "{{ x }}{% if %}"},
      {"x {%- raw -%}\n x  {%- endraw -%}\n y", "xxy"},
      {"a\r\nb\rc\r\n", "a\nb\nc"},
      {"x\n\n", "x\n"},
      {"{{ '}}' }}{{ {'a':{'b':1}}}}", "}}{'a': {'b': 1}}"},
      {"{ {a{b", "{ {a{b"},
      {"", ""},
  });
}

TEST(ChatTemplateTest, EvaluatesExpressions) {
  expect_all({
      {"{{ 1 + 2 * 3 - 4 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 1 / 2 }} {{ 2 ** 3 ** 2 }}",
       "3 3 -4 2 0.5 64"},
      {"{{ -2 ** 2 }} {{ 7.5 % 2 }} {{ 1e22 }} {{ 0.1 + 0.2 }} {{ 1e15 }} {{ 1e-5 }}",
       "4 1.5 1e+22 0.30000000000000004 1000000000000000.0 1e-05"},
      {"{{ 1_000 }} {{ 0x1F }} {{ 0b11 }} {{ 'a' * 3 }} {{ [1] + [2] }} {{ (1,) * 2 }}",
       "1000 31 3 aaa [1, 2] (1, 1)"},
      {"{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 1 == 1.0 }} {{ [1] == (1,) }} {{ 'a' in 'abc' }} {{ 3 not in [1] "
       "}}",
       "True False True False True True"},
      {"{{ 0 or 'x' }} {{ '' and 1 }}. {{ not z }} {{ 'a' if t else 'b' }} {{ 'a' if z }}. {{ 1, 2 }}",
       "x . True a . (1, 2)"},
      {"{{ 'x' ~ 1 ~ none ~ q ~ 1.5 ~ true }} {{ \"a\" 'b' }} {{ 'tab\\tq\\x41\\u00e9\\101\\q' }}",
       "x1None1.5True ab tab\tqA\xC3\xA9"
       "A\\q"},
      {"{{ s[1:3] }} {{ s[::-1] }} {{ s[-3:] }} {{ u[1:4] }} {{ u[-1] }} {{ u | length }} {{ l[::-1] }} {{ "
       "l.0 }}",
       "el dlroW ,olleH rld rge к 9 [2, 1, 3] 3"},
      {"{{ d.b }} {{ d['A'] }} {{ d.c[1].x }} {{ d.q }}. {{ d.q is defined }} {{ users[0].name }}",
       "1 2 None . False bob"},
      {"{{ {'a': 1, 2: [none, true]} }} {{ ['it\\'s', 'a\\n\"'] }} {{ () }} {{ (1,) }} {{ range(3) }}",
       "{'a': 1, 2: [None, True]} [\"it's\", 'a\\n\"'] () (1,) range(0, 3)"},
  });
}

TEST(ChatTemplateTest, RunsLoops) {
  expect_all({
      {"{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}"
       "{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }};{% endfor %}",
       "103TrueFalse31a;212FalseFalse332b;321FalseTrue31a;"},
      {"{% for x in [1, 1, 2] %}{{ loop.changed(x) }} {% endfor %}", "True False True "},
      {"{% for x in l if x > 1 %}{{ x }}/{{ loop.length }} {% endfor %}", "3/2 2/2 "},
      {"{% for x in [] %}a{% else %}none{% endfor %}{% for x in q %}a{% else %}undefined{% endfor %}",
       "noneundefined"},
      {"{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}", "b=1,A=2,c=[1, {'x': None}],"},
      {"{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for c in 'aé' %}{{ c }}.{% "
       "endfor %}",
       "123a.é."},
      {"{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}"
       "{{ x }}{% endfor %}",
       "0134"},
      {"{% for i in [{'n': 1, 'c': [{'n': 2, 'c': []}, {'n': 3}]}] recursive %}"
       "[{{ i.n }}@{{ loop.depth }}{% if i.c %}{{ loop(i.c) }}{% endif %}]{% endfor %}",
       "[1@1[2@2][3@2]]"},
      {"{% for x in range(5, 0, -2) %}{{ x }}{% endfor %}{% for x in 1, 2 %}{{ x }}{% endfor %}", "53112"},
  });
}

TEST(ChatTemplateTest, ScopesVariables) {
  expect_all({
      {"{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}", "4,2,3,1"},
      {"{% set ns = namespace(x=1) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y "
       "}}",
       "7"},
      {"{% if true %}{% set x = 2 %}{% endif %}{{ x }}{% with x=3, y=x %}{{ x }}{{ y }}{% endwith %}{{ x }}",
       "2322"},
      {"{% set a, b = 1, 2 %}{% set a, b = b, a %}{{ a }}{{ b }}", "21"},
      {"{% set x | upper | trim %} abc {% endset %}[{{ x }}]", "[ABC]"},
      {"{% macro g() %}{{ late }}{% endmacro %}{% set late = 'yes' %}{{ g() }}", "yes"},
  });
}

TEST(ChatTemplateTest, CallsMacrosAndBlocks) {
  expect_all({
      {"{% macro m(a, b=2, c='x') %}{{ a }}-{{ b }}-{{ c }} {% endmacro %}{{ m(1) }}{{ m(1, c='q') }}{{ "
       "m(b=1, a=4) }}"
       "{{ m() }}{{ m(*[7, 8]) }}{{ m(**{'a': 9}) }}",
       "1-2-x 1-2-q 4-1-x -2-x 7-8-x 9-2-x "},
      {"{% macro v() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ v(1, 2, z=3) }}", "(1, 2){'z': 3}"},
      {"{% macro f(n) %}{{ n * (f(n - 1) | int) if n > 1 else 1 }}{% endmacro %}{{ f(6) }}", "720"},
      {"{% macro c(x) %}<{{ caller(x) }}|{{ caller(2) }}>{% endmacro %}{% call(y) c(1) %}in {{ y }}{% "
       "endcall %}",
       "<in 1|in 2>"},
      {"{% filter replace('a', 'b') | upper %}abc{% endfilter %}{% generation %}g{% endgeneration %}"
       "{% block x %}b{% endblock x %}",
       "BBCgb"},
      {"{% autoescape true %}{{ '<' }}{{ '<' | safe }}{% endautoescape %}{{ '<' }}{{ ('<' | safe) + '<' }}",
       "&lt;<<<&lt;"},
      {"{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set j = joiner('|') %}"
       "{{ j() }}x{{ j() }}y{{ dict(a=1, **{'b': 2}) }}",
       "abax|y{'a': 1, 'b': 2}"},
      {"{{ strftime_now('%d %b %Y') }}", "07 Mar 2026"},
  });
}

TEST(ChatTemplateTest, AppliesFilters) {
  expect_all({
      {"{{ d | tojson }}", R"({"b": 1, "A": 2, "c": [1, {"x": null}]})"},
      {"{{ d | tojson(indent=2) }}",
       "{\n  \"b\": 1,\n  \"A\": 2,\n  \"c\": [\n    1,\n    {\n      \"x\": null\n    }\n  ]\n}"},
      {"{{ 'é😀<\\x01\\n' | tojson }}{{ 'é😀\\x7f' | tojson(ensure_ascii=true) }}",
       "\"é😀<\\u0001\\n\"\"\\u00e9\\ud83d\\ude00\\u007f\""},
      {"{{ {'b': 1.0, 'a': [], none: {}} | tojson(separators=(',', ':')) }}",
       R"({"b":1.0,"a":[],"null":{}})"},
      {"{{ '{\"a\": [1, 2.5]}' | from_json }}", "{'a': [1, 2.5]}"},
      {"{{ d | dictsort | map('first') | join }} {{ l | sort }} {{ w | sort }} {{ w | "
       "sort(case_sensitive=true, reverse=true) }}",
       "Abc [1, 2, 3] ['A', 'a', 'b'] ['b', 'a', 'A']"},
      {"{{ users | sort(attribute='age,name') | map(attribute='name') | join(' ') }} {{ users | "
       "sum(attribute='age') }}",
       "cy Al bob 7"},
      {"{{ users | selectattr('age', 'gt', 2) | map(attribute='name') | list }} {{ users | rejectattr('age', "
       "'eq', 3) | list }}",
       "['bob', 'Al'] [{'name': 'cy', 'age': 1}]"},
      {"{% for g in users | groupby('age') %}{{ g.grouper }}:{{ g.list | length }} {% endfor %}{{ w | unique "
       "| list }}",
       "1:1 3:2 ['b', 'A']"},
      {"{{ l | select('odd') | list }} {{ none | map('upper') | list }} {{ l | batch(2, 0) | list }} {{ l | "
       "slice(2) | list }}",
       "[3, 1] [] [[3, 1], [2, 0]] [[3, 1], [2]]"},
      {"{{ l | max }}{{ w | min }}{{ l | first }}{{ l | last }} {{ 'abc' | reverse }} {{ d | items | list | "
       "length }}",
       "3A32 cba 3"},
      {"{{ '  x ' | trim }}|{{ 'fOO bar-baz' | title }}|{{ 'fOO' | capitalize }}|{{ u | upper }}|{{ 'a b c d "
       "e f' | truncate(7, leeway=0) }}",
       "x|Foo Bar-Baz|Foo|ÄRGER ЖУК|a b..."},
      {"{{ 'a\\n\\nb' | indent(2) }}|{{ 'a\\nb' | indent('> ', first=true) }}", "a\n\n  b|> a\n> b"},
      {"{{ q | default('d') }}{{ '' | default('d') }}{{ '' | default('e', true) }}{{ '42' | int }}{{ 'x' | "
       "int(7) }}{{ '2.5' | float }}",
       "de4272.5"},
      {"{{ 2.5 | round }} {{ 2.567 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ -3 | abs }} {{ 'a b' | "
       "urlencode }} {{ '<' | e }}",
       "2.0 2.57 3.0 3 a%20b &lt;"},
      {"{{ '%s-%05.1f' | format('a', 3.14159) }} {{ '%(k)x' % {'k': 255} }}", "a-003.1 ff"},
  });
}

TEST(ChatTemplateTest, AppliesTests) {
  expect_all({
      {"{{ q is defined }} {{ q is undefined }} {{ z is none }} {{ z is defined }} {{ n is not none }}",
       "False True True True True"},
      {"{{ s is string }} {{ d is mapping }} {{ l is sequence }} {{ s is iterable }} {{ n is iterable }} {{ "
       "d is sequence }}",
       "True True True True False True"},
      {"{{ l | map('string') is sequence }} {{ d.items() is sequence }} {{ d.items() is iterable }}",
       "False False True"},
      {"{{ t is boolean }} {{ t is number }} {{ t is integer }} {{ f is float }} {{ t is true }} {{ 1 is "
       "true }}",
       "True True False True True False"},
      {"{{ n is odd }} {{ n is divisibleby 5 }} {{ n is gt 4 }} {{ n is in [5] }} {{ 'A' is upper }} {{ "
       "range is callable }}",
       "True True True True True True"},
  });
}

TEST(ChatTemplateTest, CallsMethods) {
  expect_all({
      {"{{ 'a,b,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.rsplit(',', 1) }} {{ 'a b  c "
       "'.split(none, 1) }}",
       "['a', 'b', 'c'] ['a', 'b'] ['a,b', 'c'] ['a', 'b  c ']"},
      {"{{ 'xhix'.strip('x') }}|{{ ' \\u3000a '.lstrip() }}|{{ 'a\\n'.rstrip('\\n') }}|{{ 'aXa'.replace('a', "
       "'b', 1) }}",
       "hi|a |a|bXa"},
      {"{{ s.startswith('He') }} {{ s.endswith(('x', 'ld')) }} {{ s.find('o', 5) }} {{ s.count('l') }} {{ "
       "u.find('ж') }}",
       "True True 8 3 6"},
      {"{{ s.partition(',') }} {{ 'a\\nb\\n'.splitlines() }} {{ '-'.join(['a', 'b']) }} {{ 'a'.center(4, "
       "'*') }}",
       "('Hello', ',', ' World') ['a', 'b'] a-b *a**"},
      {"{{ 'ab'.upper() }}{{ 'aB'.swapcase() }}{{ 'ab cd'.title() }}{{ '7'.zfill(3) }}{{ "
       "'abc'.removeprefix('a') }}{{ '12'.isdigit() }}",
       "ABAbAb Cd007bcTrue"},
      {"{{ '{} {x:>4}|{0:.2f}'.format(1.5, x='b') }}", "1.5    b|1.50"},
      {"{{ d.get('b') }} {{ d.get('q') }} {{ d.get('q', 7) }} {{ d.keys() | list }} {{ d.values() | first }}",
       "1 None 7 ['b', 'A', 'c'] 1"},
      {"{% set m = {'items': 3} %}{{ m['items'] }} {{ m.items() | list }}", "3 [('items', 3)]"},
  });
}

TEST(ChatTemplateTest, NamesTheLineOfAnError) {
  const std::vector<Case> cases = {
      {"a\nb\n{% if %}", "[chat template] line 3: Expected an expression, got 'end of statement block'"},
      {"\n{% foo %}", "[chat template] line 2: Encountered unknown tag 'foo'."},
      {"{{ 1 ", "[chat template] line 1: unexpected end of template, expected 'end of print statement'."},
      {"{{ (1] }}", "[chat template] line 1: unexpected ']', expected ')'"},
      {"{# abc", "[chat template] line 1: Missing end of comment tag"},
      {"{% raw %}abc", "[chat template] line 1: Missing end of raw directive"},
      {"{{ 'abc }}", "[chat template] line 1: a string literal has no end"},
      {"{% break %}", "[chat template] line 1: 'break' outside of a loop"},
      {"{% include 'x' %}", "[chat template] line 1: 'include' needs another template, and there is none"},
      {"\n\n{{ x.y }}", "[chat template] line 3: 'x' is undefined"},
      {"{{ d.q.r }}", "[chat template] line 1: 'dict object' has no attribute 'q'"},
      {"{{ l[9].x }}", "[chat template] line 1: list object has no element 9"},
      {"{{ l.append(2) }}",
       "[chat template] line 1: access to attribute 'append' of 'list' object is unsafe."},
      {"{{ 'a' + 1 }}", "[chat template] line 1: can only concatenate str (not \"int\") to str"},
      {"{{ 'a' < 1 }}", "[chat template] line 1: '<' not supported between instances of 'str' and 'int'"},
      {"{{ none | length }}", "[chat template] line 1: object of type 'NoneType' has no len()"},
      {"{% for x in 5 %}{% endfor %}", "[chat template] line 1: 'int' object is not iterable"},
      {"{% for a, b in [[1]] %}{% endfor %}",
       "[chat template] line 1: not enough values to unpack (expected 2, got 1)"},
      {"{{ l | map('string') | tojson }}",
       "[chat template] line 1: Object of type generator is not JSON serializable"},
      {"{% set d.x = 1 %}", "[chat template] line 1: cannot assign attribute on non-namespace object"},
      {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
       "[chat template] line 1: macro 'm' takes not more than 1 argument(s)"},
      {"{{ 1 // 0 }}", "[chat template] line 1: integer division or modulo by zero"},
      {"{{ 9223372036854775807 + 1 }}", "[chat template] line 1: an integer leaves the range of 64 bits"},
      {"{{ 'a' | nothing }}", "[chat template] line 1: No filter named 'nothing'."},
      {"{{ '{' | from_json }}", "[chat template] line 1: from_json() argument is no valid JSON"},
  };
  for (const Case& each : cases) EXPECT_EQ(error_of(each.source), each.expected) << each.source;
}

TEST(ChatTemplateTest, RefusesWithTheTemplatesMessage) {
  const ChatTemplate refusing(
      "{% if not messages %}{{ raise_exception('No ' ~ 'messages') }}{% endif %}fine");
  try {
    refusing.render({});
    FAIL() << "did not refuse";
  } catch (const ChatRefusal& refusal) {
    EXPECT_STREQ(refusal.what(), "No messages");
  }
  ChatInput input;
  input.messages.push_back({{"role", "user"}, {"content", "x"}});
  EXPECT_EQ(refusing.render(input), "fine");
}

TEST(ChatTemplateTest, OffersItsInputAsVariables) {
  const ChatTemplate all(
      "{{ bos_token }}|{{ eos_token }}|{{ tools }}|{{ add_generation_prompt }}|{{ documents }}|{{ x }}");
  EXPECT_EQ(all.render({}), "||None|False|None|");
  ChatInput input;
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  input.tools = Json::array({1});
  input.add_generation_prompt = true;
  input.variables = {{"x", "y"}, {"documents", Json::array()}};
  EXPECT_EQ(all.render(input), "<s>|</s>|[1]|True|[]|y");
}

TEST(ChatTemplateTest, StopsRunawayTemplates) {
  const std::vector<Case> cases = {
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "maximum recursion depth exceeded"},
      {"{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "maximum recursion depth exceeded"},
      {"{{ range(100001) }}", "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000)."},
      {"{{ 'a' * 999999999999 }}", "a text grows too large"},
      {"{{ [1] * 99999999 }}", "a text grows too large"},
      {"{{ '%999999999d' % 1 }}", "a width or precision in a format is too large"},
      {"{{ 'a'.center(999999999) }}", "a text grows too large"},
      {"{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
       "a text grows too large"},
      {"{% for i in range(99999) %}{{ 'a' * 9999 }}{% endfor %}", "the output grows too large"},
      {"{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
       "the template does not come to an end"},
      {"{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}",
       "values nest too deeply"},
      {"{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ "
       "ns.l }}",
       "a text grows too large"},
      {"{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}", "values nest too deeply"},
  };
  for (const Case& each : cases) {
    EXPECT_NE(error_of(each.source).find(each.expected), std::string::npos) << each.source << "\n"
                                                                            << error_of(each.source);
  }
}

TEST(ChatTemplateTest, RefusesDeepNesting) {
  auto repeat = [](const std::string& text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
  };
  const std::string too_deep = "[chat template] line 1: the template nests too deeply";
  EXPECT_EQ(error_of("{{ " + repeat("(", 100000) + "1" + repeat(")", 100000) + " }}"), too_deep);
  EXPECT_EQ(error_of("{{ " + repeat("-", 100000) + "1 }}"), too_deep);
  EXPECT_EQ(error_of("{{ " + repeat("not ", 100000) + "1 }}"), too_deep);
  EXPECT_EQ(error_of(repeat("{% if 1 %}", 100000)), too_deep);
  EXPECT_EQ(error_of("{% set " + repeat("(", 100000)), too_deep);
  EXPECT_EQ(render("{{ " + repeat("(", 50) + "1" + repeat(")", 50) + " }}"), "1");
  EXPECT_EQ(render("{{ 0" + repeat(" + 1", 10000) + " }}"), "10000");
  EXPECT_EQ(render("{{ 'a'" + repeat(" | upper", 10000) + " }}"), "A");

  ChatInput input;
  Json deep = 1;
  for (int i = 0; i < 10000; ++i) deep = Json::array({std::move(deep)});
  input.variables = {{"deep", std::move(deep)}};
  EXPECT_THROW(ChatTemplate("x").render(input), std::runtime_error);
}

TEST(ChatTemplateTest, FreesCirclesAndLongChains) {
  // Each of these builds what would exhaust the stack, or never be freed, if it were released link by link.
  EXPECT_EQ(
      render(
          "{% set ns = namespace() %}{% set ns.self = ns %}{% macro m() %}{% endmacro %}{% set ns.m = m %}x"),
      "x");
  EXPECT_EQ(render("{% set ns = namespace() %}{% for i in range(50000) %}{% set ns.p = namespace(p=ns.p) "
                   "%}{% endfor %}x"),
            "x");
  EXPECT_EQ(render("{% set ns = namespace() %}{% for i in range(50000) %}{% set q = ns.m %}"
                   "{% macro m() %}{{ q }}{% endmacro %}{% set ns.m = m %}{% endfor %}x"),
            "x");
  EXPECT_EQ(render("{% set ns = namespace() %}{% for i in range(50000) %}{% with %}{% set q = ns.p %}"
                   "{% for x in [1] %}{% set ns.p = loop %}{% endfor %}{% endwith %}{% endfor %}x"),
            "x");
}

TEST(ChatTemplateTest, RendersOwnFixture) {
  const ChatTemplate fixture(read_file(fixtures() / "tools.jinja"));
  const Json cases = Json::parse(read_file(fixtures() / "tools.json"));
  ASSERT_EQ(cases.size(), 3u);
  for (const Json& each : cases) {
    ChatInput input = to_input(each["input"]);
    input.bos_token = "<s>";
    if (each.contains("rendered")) {
      EXPECT_EQ(fixture.render(input), each["rendered"].get<std::string>());
      continue;
    }
    try {
      fixture.render(input);
      ADD_FAILURE() << "did not refuse";
    } catch (const ChatRefusal& refusal) {
      EXPECT_EQ(refusal.what(), each["refusal"].get<std::string>());
    }
  }
}

TEST(ChatTemplateTest, RendersInSeveralThreads) {
  const ChatTemplate fixture(read_file(fixtures() / "tools.jinja"));
  const Json cases = Json::parse(read_file(fixtures() / "tools.json"));
  std::vector<std::string> rendered(4);
  std::vector<std::thread> threads;
  for (std::string& out : rendered) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) out = fixture.render(to_input(cases[1]["input"]));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& out : rendered) EXPECT_EQ("<s>" + out, cases[1]["rendered"].get<std::string>());
}

// Renders, and expects nothing worse than the exceptions that the interface promises. True if there was none.
bool survives(const std::string& source, const ChatInput& input) {
  try {
    ChatTemplate(source).render(input);
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

TEST(ChatTemplateTest, SurvivesBrokenTemplates) {
  const std::string source = read_file(fixtures() / "tools.jinja");
  const ChatInput input = to_input(Json::parse(read_file(fixtures() / "tools.json"))[1]["input"]);
  int whole = 0, broken = 0;
  auto try_one = [&](const std::string& text) { ++(survives(text, input) ? whole : broken); };
  for (std::size_t size = 0; size <= source.size(); ++size) try_one(source.substr(0, size));
  for (std::size_t at = 0; at < source.size(); ++at) try_one(source.substr(at));
  std::mt19937 random(7);
  const std::string alphabet = "{}%#-+()[].,:|~'\"\\ \n=<>*/_0aeinort\xC3\xA9\xFF";
  for (int i = 0; i < 3000; ++i) {
    std::string text = source;
    for (int j = 0; j < 3; ++j) text[random() % text.size()] = alphabet[random() % alphabet.size()];
    try_one(text);
  }
  // Some of them stay valid, and most do not.
  EXPECT_GT(whole, 10);
  EXPECT_GT(broken, 1000);
}

class ModelDirectory : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::path(::testing::TempDir()) / ("lazuli_chat_" + std::to_string(std::random_device()()));
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  fs::path directory_;
};

TEST_F(ModelDirectory, PrefersTheTemplateFile) {
  write_file(directory_ / "chat_template.jinja", "file {{ bos_token }}{{ eos_token }}{{ pad_token }}");
  write_file(
      directory_ / "tokenizer_config.json",
      R"({"chat_template": "config", "bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false},
                 "pad_token": null})");
  const ChatTemplate loaded = ChatTemplate::from_directory(directory_);
  EXPECT_EQ(loaded.render({}), "file <s></s>");
  EXPECT_EQ(loaded.special_tokens(),
            (std::map<std::string, std::string>{{"bos_token", "<s>"}, {"eos_token", "</s>"}}));
  ChatInput input;
  input.bos_token = "<other>";
  EXPECT_EQ(loaded.render(input), "file <other></s>");
}

TEST_F(ModelDirectory, ReadsTheConfiguration) {
  write_file(directory_ / "tokenizer_config.json", R"({"chat_template": "config"})");
  EXPECT_EQ(ChatTemplate::from_directory(directory_).render({}), "config");
  write_file(
      directory_ / "tokenizer_config.json",
      R"({"chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]})");
  EXPECT_EQ(ChatTemplate::from_directory(directory_).source(), "d");
}

TEST_F(ModelDirectory, SaysWhatIsMissing) {
  auto message = [&]() -> std::string {
    try {
      ChatTemplate::from_directory(directory_);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message(), "[chat] " + directory_.string() + " has no chat template");
  write_file(directory_ / "tokenizer_config.json", R"({"chat_template": null})");
  EXPECT_EQ(message(), "[chat] " + directory_.string() + " has no chat template");
  write_file(directory_ / "tokenizer_config.json", "{");
  EXPECT_EQ(message(), "[chat] " + (directory_ / "tokenizer_config.json").string() + " is not a JSON object");
}

class SharedTemplates : public ::testing::Test {
 protected:
  void SetUp() override {
    const fs::path folder = fs::path(LAZULI_SHARED) / "fixtures" / "chat_templates";
    if (!fs::is_directory(folder)) GTEST_SKIP() << folder << " does not exist";
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".jinja") templates_.push_back(entry.path());
    }
    std::sort(templates_.begin(), templates_.end());
    ASSERT_FALSE(templates_.empty());
  }

  static Json cases_of(const fs::path& path) {
    return Json::parse(read_file(fs::path(path).replace_extension(".cases.json")));
  }

  std::vector<fs::path> templates_;
};

TEST_F(SharedTemplates, RenderAsTheReferenceDoes) {
  for (const fs::path& path : templates_) {
    const ChatTemplate chat(read_file(path));
    int number = 0;
    for (const Json& each : cases_of(path)) {
      SCOPED_TRACE(path.filename().string() + " case " + std::to_string(number++));
      ChatInput input = to_input(each);
      // When the cases were made.
      input.now = noon(2026, 11, 21);
      if (each.contains("rendered")) {
        EXPECT_EQ(chat.render(input), each["rendered"].get<std::string>());
        continue;
      }
      const std::string expected = each["error"].get<std::string>();
      try {
        chat.render(input);
        ADD_FAILURE() << "no error, but expected: " << expected;
      } catch (const ChatRefusal& refusal) {
        EXPECT_EQ(refusal.what(), expected);
      } catch (const std::runtime_error& error) {
        EXPECT_TRUE(std::string(error.what()).ends_with(": " + expected)) << error.what() << "\n" << expected;
      }
    }
  }
}

TEST_F(SharedTemplates, SurviveTruncation) {
  for (const fs::path& path : templates_) {
    const std::string source = read_file(path);
    const ChatInput input = to_input(cases_of(path).back());
    int broken = 0;
    for (std::size_t size = 0; size < source.size(); size += 61)
      broken += survives(source.substr(0, size), input) ? 0 : 1;
    EXPECT_GT(broken, 0) << path;
  }
}

}  // namespace
}  // namespace lazuli::lm
