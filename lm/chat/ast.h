#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <lazuli/lm/chat/operators.h>
#include <lazuli/lm/chat/value.h>

/// The parsed template. Chains (a + b + c, a.b.c, x | f | g) are one node each, so that the depth of the tree
/// is bounded by what the parser nests.
namespace lazuli::lm::chat {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct CallSyntax {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr positional_list;  // behind *
  ExprPtr named_dict;       // behind **
};

struct AttributeStep {
  std::string name;
};
struct IndexStep {
  ExprPtr key;
};
struct SliceStep {
  ExprPtr start, stop, step;  // null where left out
};
struct FilterStep {
  std::string name;
  CallSyntax args;
};
struct TestStep {
  std::string name;
  bool negated = false;
  CallSyntax args;
};

/// One of the things that can follow an expression.
struct PostfixStep {
  int line;
  std::variant<AttributeStep, IndexStep, SliceStep, CallSyntax, FilterStep, TestStep> what;
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct ListLiteral {
  bool is_tuple = false;
  std::vector<ExprPtr> items;
};
struct DictLiteral {
  std::vector<std::pair<ExprPtr, ExprPtr>> entries;
};
struct Unary {
  UnaryOp op;
  ExprPtr operand;
};
/// first op second op third ..., from the left.
struct Arithmetic {
  ExprPtr first;
  std::vector<std::pair<BinaryOp, ExprPtr>> rest;
};
/// first ~ second ~ ...
struct Concatenation {
  std::vector<ExprPtr> parts;
};
/// `and` or `or` between all operands.
struct Logic {
  bool is_and;
  std::vector<ExprPtr> operands;
};
/// first op second op third ..., each compared with its neighbour.
struct CompareChain {
  ExprPtr first;
  std::vector<std::pair<CompareOp, ExprPtr>> rest;
};
struct Conditional {
  ExprPtr condition, value;
  ExprPtr otherwise;  // may be null
};
struct Postfix {
  ExprPtr base;
  std::vector<PostfixStep> steps;
};

struct Expr {
  int line;
  std::variant<Literal, Name, ListLiteral, DictLiteral, Unary, Arithmetic, Concatenation, Logic, CompareChain,
               Conditional, Postfix>
      what;
};

struct Statement;
using Block = std::vector<Statement>;

/// What a value is assigned to: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
  std::string name;       // empty for a tuple
  std::string attribute;  // empty unless `name.attribute`
  std::vector<Target> parts;
};

struct Data {
  std::string text;
};
struct Print {
  ExprPtr value;
};
struct If {
  std::vector<std::pair<ExprPtr, Block>> branches;
  Block otherwise;
};
struct For {
  Target target;
  ExprPtr iterable;
  ExprPtr condition;  // may be null
  bool recursive = false;
  Block body, otherwise;
};
struct Set {
  Target target;
  ExprPtr value;
};
struct SetBlock {
  Target target;
  std::vector<PostfixStep> filters;
  Block body;
};
/// A macro, or the body of a `call` block.
struct MacroDefinition {
  std::string name;
  std::vector<std::string> parameters;
  std::vector<ExprPtr> defaults;  // of the last parameters
  Block body;
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;
};
struct CallBlock {
  ExprPtr call;  // a Postfix that ends in a call
  MacroDefinition body;
};
struct FilterBlock {
  std::vector<PostfixStep> filters;
  Block body;
};
struct With {
  std::vector<std::pair<Target, ExprPtr>> variables;
  Block body;
};
struct Autoescape {
  ExprPtr enabled;
  Block body;
};
struct LoopControl {
  bool is_break;
};

struct Statement {
  int line;
  std::variant<Data, Print, If, For, Set, SetBlock, MacroDefinition, CallBlock, FilterBlock, With, Autoescape,
               LoopControl>
      what;
};

}  // namespace lazuli::lm::chat
