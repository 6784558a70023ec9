#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>

#include "burin/graph.h"
#include "burin/onnx.h"
#include "tokenize/element_types.h"
#include "tools/commands.h"

namespace burin::tools {
namespace {

constexpr std::string_view kHead = R"(# ONNX operators

What `load_onnx` reads, written by `burin operators`. Operator sets from 11 on are read, and older ones of the few
operators that have not changed since; an operator, an operator set or an attribute that is not read is an error that
names it.

*Known* are the operands (counted from 0) that must be constants or follow from the shapes of the model's inputs: shapes
of tensors depend on them. Attentions, normalisations and activations that the graph has no operation for are decomposed
into ordinary ones, so that they are carved as any others.

| Operator | Known | Refused |
|---|---|---|
)";

constexpr std::string_view kGroups = R"(
## Operations in element-wise groups

Of which element types groups take the graph's element-wise operations and reductions (f16, bf16 and narrow integers are
left). Left are also a Mod of floats without `fmod` and a Pow of integers whose exponent is not known. Integers wrap;
divided by zero they are 0, with all of the dividend left.

| Operation | f32 | i32 | i64 | bool |
|---|---|---|---|---|
)";

constexpr OpKind kOperations[] = {
#define BURIN_OP(name, text, category, min_inputs, max_inputs) OpKind::name,
#include "burin/ops.def"
};

std::string row(OpKind op) {
  const auto taken = [&](Precision p) { return is_carved_of(op, p) ? "yes" : ""; };
  return fmt::format("| `{}` | {} | {} | {} | {} |\n", info(op).name, taken(Precision::f32), taken(Precision::i32),
                     taken(Precision::i64), taken(Precision::boolean));
}

std::string row(const OnnxOperator& op) {
  const std::string prefix = op.domain.empty() ? "" : fmt::format("{}::", op.domain);
  return fmt::format("| `{}{}` | {} | {} |\n", prefix, op.name, fmt::join(op.known, ", "),
                     op.refused);
}

}  // namespace

void add_operators(CLI::App& app, int& /*status*/) {
  CLI::App* sub = app.add_subcommand("operators", "The ONNX operators that are read, as Markdown");
  sub->callback([] {
    fmt::print("{}", kHead);
    for (const OnnxOperator& op : onnx_operators()) fmt::print("{}", row(op));
    fmt::print("{}", kGroups);
    for (const OpKind op : kOperations)
      if (is_elementwise(op) || info(op).category == OpCategory::reduce) fmt::print("{}", row(op));
  });
}

}  // namespace burin::tools
