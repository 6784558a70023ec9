#include "tests/support/graph_generator.h"

#include <algorithm>
#include <optional>

#include "tests/support/generated_graph_builder.h"
#include "tests/support/random_shapes.h"

namespace burin::testing {
namespace {

class ProductGenerator : GeneratedGraphBuilder {
 public:
  explicit ProductGenerator(Random& random) : GeneratedGraphBuilder(random) {}

  GeneratedGraph run() {
    choose_dimensions();
    Known y = product();
    const std::int64_t length = random_.below(6);
    feature("epilogue", std::to_string(length));
    for (std::int64_t i = 0; i < length; ++i) {
      if (i > 0 && random_.chance(0.05)) {
        output(y);
        feature("outputs", "inner");
      }
      y = step(y);
    }
    output(y);
    return finish();
  }

 private:
  void choose_dimensions() {
    depth_ = random_.pick({1, 2, 3, 5, 7, 8, 16, 17, 31, 33, 64, 65});
    columns_ = random_.pick(tail_sizes());
    feature("depth", depth_ < 4 ? "few" : depth_ % 8 == 0 ? "even" : "odd");
    const bool dynamic = random_.chance(0.8);
    feature("rows", dynamic ? "dynamic" : "static");
    if (random_.chance(0.4)) rows_.push_back(random_.chance(0.8) ? Expr::symbol("B") : Expr(random_.between(1, 3)));
    feature("rank", std::to_string(rows_.size() + 2));
    feature("columns", columns_ < 16 ? "few" : columns_ % 16 == 0 ? "even" : "odd");
    rows_.push_back(dynamic ? Expr::symbol("M") : Expr(random_.pick({1, 3, 8, 13, 48, 50})));
  }

  Shape with_rows(const Expr& innermost) const {
    Shape shape = rows_;
    shape.push_back(innermost);
    return shape;
  }

  /// Multiples of 1/8, so that their products are exact.
  Known constant(const Dims& dims, std::int64_t low, std::int64_t high) {
    std::vector<float> numbers(static_cast<std::size_t>(element_count(dims, "constant")));
    for (float& x : numbers) x = static_cast<float>(random_.between(low * 8, high * 8)) / 8;
    return {graph().add_constant("", Tensor::from_f32(dims, numbers)), static_cast<double>(low), static_cast<double>(high), 0, true};
  }

  Known product() {
    const bool transposed = random_.chance(0.3);
    feature("weight", transposed ? "transposed" : "plain");
    const Known x = input("unit", with_rows(depth_));
    Known weight = constant(transposed ? Dims{columns_, depth_} : Dims{depth_, columns_}, -1, 1);
    if (transposed) weight.id = graph().add_op(OpKind::Transpose, "", {weight.id}, {{"perm", std::vector<std::int64_t>{1, 0}}});
    Known y{graph().add_op(OpKind::MatMul, "", {x.id, weight.id})};
    y.high = static_cast<double>(depth_);
    y.low = -y.high;
    y.error = kEpsilon * y.high;
    return y;
  }

  Known step(const Known& y) {
    for (;;) {
      const std::optional<Known> v = try_step(y);
      if (!v) continue;
      return v->magnitude() < 500 && v->error < 1e-3 ? *v : clip(*unary(OpKind::Tanh, *v), -0.75, 0.75);
    }
  }

  std::optional<Known> try_step(const Known& y) {
    switch (random_.below(9)) {
      case 0: return select(y);
      case 1: {
        feature("operand", "itself");
        const Known gate = *unary(random_.pick({OpKind::Sigmoid, OpKind::Tanh}), y);
        return binary(random_.pick({OpKind::Mul, OpKind::Add}), y, gate);
      }
      case 2: return clip(y, random_.real(-2, 0), random_.real(0.1, 2));
      case 3:
      case 4:
        return unary(random_.pick({OpKind::Relu, OpKind::Gelu, OpKind::Silu, OpKind::Tanh, OpKind::Sigmoid, OpKind::Erf, OpKind::Neg,
                                   OpKind::Abs, OpKind::Exp, OpKind::LeakyRelu, OpKind::HardSwish, OpKind::Elu, OpKind::Softplus}),
                     y);
      default: {
        const bool divides = random_.chance(0.15);
        const Known other = operand(divides ? "pos" : "x");
        if (divides) return binary(OpKind::Div, y, other);
        const auto op = random_.pick({OpKind::Add, OpKind::Mul, OpKind::Sub, OpKind::Max, OpKind::Min});
        return random_.chance(0.5) ? binary(op, y, other) : binary(op, other, y);
      }
    }
  }

  Known select(const Known& y) {
    feature("operand", "condition");
    const ValueId condition = graph().add_input(fresh_name("flag"), Precision::boolean, with_rows(columns_));
    const Known other = operand("x");
    Known v = apply(OpKind::Where, {condition, y.id, other.id}, std::min(y.low, other.low), std::max(y.high, other.high), 0);
    v.error = y.error + other.error;
    return v;
  }

  Known operand(const std::string& prefix) {
    const std::int64_t low = prefix == "pos" ? 1 : -2;
    switch (random_.below(6)) {
      case 0: feature("operand", "number"); return random_scalar(static_cast<double>(low), 2);
      case 1: feature("operand", "vector"); return constant({columns_}, low, 2);
      case 2: feature("operand", "vector_input"); return input(prefix, {columns_});
      case 3: feature("operand", "one_a_row"); return input(prefix, with_rows(1));
      default: feature("operand", "same_shape"); return input(prefix, with_rows(columns_));
    }
  }

  std::int64_t depth_ = 1, columns_ = 1;
  Shape rows_;
};

}  // namespace

GeneratedGraph generate_product(Random& random) { return ProductGenerator(random).run(); }

void declare_product_features(Coverage& coverage) {
  coverage.declare("rank", {"2", "3"});
  coverage.declare("rows", {"static", "dynamic"});
  coverage.declare("depth", {"few", "even", "odd"});
  coverage.declare("columns", {"few", "even", "odd"});
  coverage.declare("weight", {"plain", "transposed"});
  coverage.declare("epilogue", {"0", "1", "2", "3", "4", "5"});
  coverage.declare("outputs", {"inner"});
  coverage.declare("operand", {"number", "vector", "vector_input", "one_a_row", "same_shape", "itself", "condition"});
  coverage.declare("op", {"add", "sub", "mul", "div", "max", "min", "relu", "gelu", "silu", "tanh", "sigmoid", "where", "clip"});
}

}  // namespace burin::testing
