// What compiled products with a constant weight compute, around every tail of rows, columns and
// depth.

#include <memory>

#include "target/target_info.h"
#include "tests/support/guarded_call.h"
#include "tests/support/random.h"
#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {
namespace {

using burin::testing::CallOptions;
using burin::testing::guarded_call;
using burin::testing::Random;
using burin::testing::relative_difference;

constexpr double kTolerance = 1e-5;
constexpr std::int64_t kColumns[] = {16, 17, 24, 31, 33, 48, 49, 64, 80, 100, 128};
constexpr std::int64_t kDepths[] = {1, 2, 3, 7, 16, 65};

const std::vector<std::int64_t>& all_rows() {
  static const std::vector<std::int64_t> rows = [] {
    std::vector<std::int64_t> all = {0, 47, 48, 49, 50, 97};
    for (std::int64_t r = 1; r <= 20; ++r) all.push_back(r);
    return all;
  }();
  return rows;
}

Tensor random_tensor(const Dims& dims, std::uint64_t seed) {
  Random random(seed + 1000 * static_cast<std::uint64_t>(element_count(dims, "a test")));
  Tensor tensor = Tensor::zeros(Precision::f32, dims);
  for (std::int64_t i = 0; i < tensor.size(); ++i) tensor.set(i, random.real(-1, 1));
  return tensor;
}

/// x [M,depth] times a weight of `columns`, and what a test adds.
struct Product {
  Product(std::int64_t depth, std::int64_t columns, bool transposed = false) : columns(columns) {
    x = builder.input("x", Precision::f32, {m, Expr(depth)});
    ValueId weight = builder.constant(
        random_tensor(transposed ? Dims{columns, depth} : Dims{depth, columns}, 1));
    if (transposed)
      weight = op(OpKind::Transpose, {weight}, {{"perm", std::vector<std::int64_t>{1, 0}}});
    y = op(OpKind::MatMul, {x, weight});
  }
  ValueId op(OpKind kind, const std::vector<ValueId>& inputs, const Attributes& attributes = {}) {
    return builder.op(kind, inputs, attributes);
  }
  ValueId same_shape(const std::string& name, Precision precision = Precision::f32) {
    return builder.input(name, precision, {m, Expr(columns)});
  }
  ValueId vector() { return builder.constant(random_tensor({columns}, 2)); }
  Graph graph() {
    builder.output(y);
    return builder.build();
  }

  GraphBuilder builder{"product"};
  Expr m = Expr::symbol("M");
  std::int64_t columns;
  ValueId x, y;
};

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Isa isa : {Isa::avx2, Isa::avx512})
    if (isa <= host_target().isa) names.emplace_back(to_string(isa));
  return names;
}

/// Each instruction set, one worker and three, all memory between guard pages, dense and strided:
/// right, and the same bits each time.
void check(const Graph& graph, const std::vector<std::int64_t>& rows) {
  for (const std::string& isa : instruction_sets()) {
    CompileOptions options;
    options.isa = isa;
    options.verify = true;
    const CompiledSubgraph compiled = compile(graph, options);
    Invocation one = compiled.invocation(1), three = compiled.invocation(3);
    for (const std::int64_t m : rows) {
      SCOPED_TRACE(isa + ", " + std::to_string(m) + " rows");
      Random random(static_cast<std::uint64_t>(m));
      const auto inputs = burin::testing::random_inputs(graph, {{"M", m}}, 3);
      const Tensor expected = interpret(graph, inputs)[0];
      const Tensor alone = guarded_call(one, graph, inputs, {.workers = 1}, random)[0];
      ASSERT_LE(relative_difference(expected, alone), kTolerance) << print(graph);
      for (const bool strided : {false, true}) {
        const CallOptions call{.strided = strided, .workers = 3};
        ASSERT_TRUE(m == 0 || same_bits(alone, guarded_call(three, graph, inputs, call, random)[0]))
            << "strided " << strided;
      }
    }
  }
}

TEST(ProductResults, EveryTail) {
  for (const std::int64_t columns : kColumns)
    for (const std::int64_t depth : kDepths) {
      SCOPED_TRACE(std::to_string(depth) + " x " + std::to_string(columns));
      check(Product(depth, columns).graph(), all_rows());
      if (HasFatalFailure()) return;
    }
}

TEST(ProductResults, TransposedWeight) {
  for (const std::int64_t columns : kColumns)
    for (const std::int64_t depth : {1, 3, 65}) {
      SCOPED_TRACE(std::to_string(depth) + " x " + std::to_string(columns));
      check(Product(depth, columns, true).graph(), {1, 5, 8, 49});
      if (HasFatalFailure()) return;
    }
}

TEST(ProductResults, FewerColumnsThanLanes) {
  for (const std::int64_t columns : {1, 2, 3, 7, 8, 9, 15})
    for (const bool transposed : {false, true})
      check(Product(5, columns, transposed).graph(), {1, 4, 13});
}

TEST(ProductResults, ManyPanelsAndBlocksOfRows) {
  for (const std::int64_t columns : {384, 401})
    check(Product(3, columns).graph(), {1, 143, 192, 193, 250});
}

TEST(ProductResults, NoDepth) { check(Product(0, 33).graph(), {0, 1, 9}); }

/// Columns that are none, some and most of a vector, a block and a half, more than two blocks.
constexpr std::int64_t kSomeColumns[] = {16, 17, 31, 49, 72, 100};

template <typename Epilogue>
void check_epilogue(const Epilogue& epilogue) {
  for (const std::int64_t columns : kSomeColumns) {
    SCOPED_TRACE(columns);
    Product p(19, columns);
    p.y = epilogue(p);
    check(p.graph(), {0, 1, 2, 7, 8, 11, 48, 53});
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(ProductEpilogues, BiasAndGelu) {
  check_epilogue([](Product& p) {
    return p.op(OpKind::Gelu, {p.op(OpKind::Add, {p.y, p.vector()})});
  });
}

TEST(ProductEpilogues, GeluSpelledOut) {
  check_epilogue([](Product& p) {
    const ValueId b = p.op(OpKind::Add, {p.vector(), p.y});
    const ValueId e = p.op(OpKind::Erf, {p.op(OpKind::Div, {b, p.builder.scalar(1.4142135F)})});
    const ValueId m = p.op(OpKind::Mul, {b, p.op(OpKind::Add, {e, p.builder.scalar(1)})});
    return p.op(OpKind::Mul, {m, p.builder.scalar(0.5F)});
  });
}

TEST(ProductEpilogues, ResidualsWithStridesOfTheirOwn) {
  check_epilogue([](Product& p) {
    const ValueId gate = p.op(OpKind::Mul, {p.op(OpKind::Silu, {p.y}), p.same_shape("gate")});
    return p.op(OpKind::Add, {p.same_shape("residual"), gate});
  });
}

TEST(ProductEpilogues, Select) {
  check_epilogue([](Product& p) {
    const ValueId flag = p.same_shape("flag", Precision::boolean);
    return p.op(OpKind::Where, {flag, p.y, p.vector()});
  });
}

TEST(ProductEpilogues, TheProductTwice) {
  check_epilogue([](Product& p) {
    const ValueId positive = p.op(OpKind::Greater, {p.y, p.builder.scalar(-100)});
    return p.op(OpKind::Where, {positive, p.op(OpKind::Mul, {p.y, p.y}), p.y});
  });
}

TEST(ProductResults, NaNSpoilsItsRowAlone) {
  const Graph graph = Product(19, 49).graph();
  const CompiledSubgraph c = compiled(graph);
  auto inputs = burin::testing::random_inputs(graph, {{"M", 20}}, 3);
  inputs[0].set(7 * 19 + 18, NAN);
  const Tensor actual = run(c, inputs, 2)[0];
  for (std::int64_t i = 0; i < actual.size(); ++i) ASSERT_EQ(std::isnan(actual.at(i)), i / 49 == 7);
}

}  // namespace
}  // namespace burin::runtime_test
