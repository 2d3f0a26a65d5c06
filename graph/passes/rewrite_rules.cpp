#include <lazuli/graph/passes/rewrite_rules.h>

namespace lazuli {

namespace {

using Where = RewriteRule::Where;

constexpr RewriteRule rules[] = {
    // What changes nothing.
    {"astype(x)", "x"},
    {"broadcast_to(x)", "x"},
    {"reshape(x)", "x"},
    {"concatenate(x)", "x"},
    {"multiply(x, 1)", "x"},
    {"multiply(1, x)", "x"},
    {"divide(x, 1)", "x"},
    {"subtract(x, 0)", "x"},
    // Of floating point numbers, -0 + 0 is +0.
    {"add(x, 0)", "x", Where::integers},
    {"add(0, x)", "x", Where::integers},
    {"power(x, 1)", "x"},
    {"maximum(x, x)", "x"},
    {"minimum(x, x)", "x"},
    {"logical_and(x, x)", "x"},
    {"logical_or(x, x)", "x"},
    {"where(x, y, y)", "y"},
    // What is undone.
    {"reshape(reshape(x))", "reshape(x)"},
    {"negative(negative(x))", "x"},
    {"logical_not(logical_not(x))", "x"},
    {"add(x, negative(y))", "subtract(x, y)"},
    {"add(negative(x), y)", "subtract(y, x)"},
    {"subtract(x, negative(y))", "add(x, y)"},
    {"abs(negative(x))", "abs(x)"},
    {"abs(abs(x))", "abs(x)"},
    {"square(negative(x))", "square(x)"},
    {"square(abs(x))", "square(x)"},
    // What can be had for less.
    {"power(x, 2)", "square(x)"},
    {"divide(x, c)", "multiply(x, 1/c)", Where::power_of_two},
};

}  // namespace

std::span<const RewriteRule> rewrite_rules() {
  return rules;
}

}  // namespace lazuli
