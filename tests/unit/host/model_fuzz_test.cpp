// Random models of element-wise operations, movements and products: carved and plain, on one thread
// and on two, against the reference interpreter. BURIN_SEED=N replays one run.

#include <cstdio>
#include <cstdlib>
#include <random>

#include "tests/support/random.h"
#include "tests/unit/host/model_check.h"

namespace burin::host {
namespace {

using testing::Random;

/// Values have the shape [B,S,N] or [S,B,N], N one of a few numbers; all stay within [-4, 4].
class RandomModel {
 public:
  explicit RandomModel(std::uint64_t seed) : random_(seed) {}

  Graph build() {
    for (const std::int64_t width : {32, 24, 32})
      add(builder_.input("x" + std::to_string(values_.size()), Precision::f32,
                         {b_, s_, Expr(width)}),
          width, false);
    const std::int64_t nodes = random_.between(3, 25);
    for (std::int64_t i = 0; i < nodes; ++i) step();
    builder_.output(values_.back().id);
    while (random_.chance(0.5)) builder_.output(any().id);
    return builder_.build();
  }

 private:
  struct Item {
    ValueId id;
    std::int64_t width;
    bool swapped;  ///< [S,B,N]
  };

  void add(ValueId id, std::int64_t width, bool swapped) {
    values_.push_back({id, width, swapped});
  }
  /// Recent values more often, so that chains come about.
  const Item& any() {
    const std::size_t n = values_.size();
    return random_.chance(0.5) ? values_[n - 1 -
                                         static_cast<std::size_t>(random_.below(
                                             std::min<std::int64_t>(3, std::ssize(values_))))]
                               : random_.pick(values_);
  }
  std::optional<Item> like(const Item& x) {
    std::vector<Item> fitting;
    for (const Item& v : values_)
      if (v.width == x.width && v.swapped == x.swapped) fitting.push_back(v);
    return random_.pick(fitting);
  }

  ValueId constant(const Dims& dims, double limit) {
    Tensor t = Tensor::zeros(Precision::f32, dims);
    for (std::int64_t i = 0; i < t.size(); ++i) t.set(i, random_.real(-limit, limit));
    return builder_.constant(t);
  }

  void step() {
    const Item x = any();
    switch (random_.below(10)) {
      case 0: return product(x);
      case 1: return gemm(x);
      case 2: return swap(x);
      case 3: return rename(x);
      case 4: return normalize(x);
      case 5: return slice(x);
      case 6: return with_constant(x);
      case 7:
        return add(builder_.op(random_.pick({OpKind::Tanh, OpKind::Sigmoid}), {x.id}), x.width,
                   x.swapped);
      default: return two(x);
    }
  }

  void two(const Item& x) {
    const ValueId y = like(x)->id;
    const auto op = random_.pick({OpKind::Add, OpKind::Mul, OpKind::Sub, OpKind::Max});
    ValueId v = builder_.op(op, {x.id, y});
    // A comparison of what is computed might come out otherwise in double precision.
    if (random_.chance(0.4) && x.width == 32 && !x.swapped)
      v = builder_.op(OpKind::Where,
                      {builder_.op(OpKind::Less, {values_[0].id, values_[2].id}), v, x.id});
    bounded(v, x.width, x.swapped);
  }

  void bounded(ValueId v, std::int64_t width, bool swapped) {
    // Others may read it before it is bounded.
    if (random_.chance(0.3)) add(builder_.op(OpKind::Tanh, {v}), width, swapped);
    if (random_.chance(0.1)) builder_.output(v);
    add(builder_.op(OpKind::Clip, {v, builder_.scalar(-4), builder_.scalar(4)}), width, swapped);
  }

  void with_constant(const Item& x) {
    const Dims dims = random_.pick<Dims>({{}, {1}, {x.width}, {1, x.width}, {1, 1, x.width}});
    const std::vector<ValueId> both = {x.id, constant(dims, 2)};
    const bool left = random_.chance(0.5);
    bounded(builder_.op(random_.pick({OpKind::Add, OpKind::Mul, OpKind::Sub}),
                        {both[left ? 0 : 1], both[left ? 1 : 0]}),
            x.width, x.swapped);
  }

  void product(const Item& x) {
    const std::int64_t width = random_.pick({24, 32, 8});
    ValueId v = builder_.op(OpKind::MatMul, {x.id, constant({x.width, width}, 0.5)});
    if (random_.chance(0.6)) v = builder_.op(OpKind::Add, {v, constant({width}, 1)});
    if (random_.chance(0.4)) v = builder_.op(OpKind::Gelu, {v});
    bounded(v, width, x.swapped);
  }

  /// On rows of all batches, and back.
  void gemm(const Item& x) {
    const std::int64_t width = random_.pick({24, 32, 8});
    const ValueId rows = builder_.op(
        OpKind::Reshape, {x.id, builder_.constant(Tensor::from_i64({2}, {-1, x.width}))});
    const bool transposed = random_.chance(0.5);
    std::vector<ValueId> inputs = {
        rows, constant(transposed ? Dims{width, x.width} : Dims{x.width, width}, 0.5)};
    if (random_.chance(0.7))
      inputs.push_back(constant(random_.pick<Dims>({{width}, {1}, {1, width}}), 1));
    ValueId v = builder_.op(OpKind::Gemm, inputs,
                            {{"transB", std::int64_t{transposed ? 1 : 0}},
                             {"alpha", random_.chance(0.7) ? 1.0 : 0.5},
                             {"beta", random_.chance(0.7) ? 1.0 : 2.0}});
    const ValueId shape = builder_.op(OpKind::Shape, {x.id});
    const ValueId front =
        builder_.op(OpKind::Slice, {shape, builder_.constant(Tensor::from_i64({1}, {0})),
                                    builder_.constant(Tensor::from_i64({1}, {2}))});
    const ValueId to =
        builder_.op(OpKind::Concat, {front, builder_.constant(Tensor::from_i64({1}, {width}))},
                    {{"axis", std::int64_t{0}}});
    v = builder_.op(OpKind::Reshape, {v, to}, {{"allowzero", std::int64_t{1}}});
    bounded(v, width, x.swapped);
  }

  void swap(const Item& x) {
    add(builder_.op(OpKind::Transpose, {x.id}, {{"perm", std::vector<std::int64_t>{1, 0, 2}}}),
        x.width, !x.swapped);
  }

  void rename(const Item& x) {
    const std::vector<std::int64_t> axes = {random_.between(0, 2)};
    const ValueId u = builder_.op(OpKind::Unsqueeze, {x.id}, {{"axes", axes}});
    if (random_.chance(0.3)) builder_.output(u);
    const ValueId v = random_.chance(0.5) ? builder_.op(OpKind::Tanh, {u}) : u;
    add(builder_.op(OpKind::Squeeze, {v}, {{"axes", axes}}), x.width, x.swapped);
  }

  void normalize(const Item& x) {
    if (random_.chance(0.5))
      return add(builder_.op(OpKind::Softmax, {x.id}, {{"axis", std::int64_t{2}}}), x.width,
                 x.swapped);
    const ValueId mean =
        builder_.op(OpKind::ReduceMean, {x.id},
                    {{"axes", std::vector<std::int64_t>{2}}, {"keepdims", std::int64_t{1}}});
    bounded(builder_.op(OpKind::Sub, {x.id, mean}), x.width, x.swapped);
  }

  /// Halves the other way round.
  void slice(const Item& x) {
    const auto list = [&](std::int64_t i) { return builder_.constant(Tensor::from_i64({1}, {i})); };
    const ValueId low = builder_.op(OpKind::Slice, {x.id, list(0), list(x.width / 2), list(2)});
    const ValueId high =
        builder_.op(OpKind::Slice, {x.id, list(x.width / 2), list(x.width), list(2)});
    add(builder_.op(OpKind::Concat, {high, low}, {{"axis", std::int64_t{2}}}), x.width, x.swapped);
  }

  Random random_;
  GraphBuilder builder_{"random"};
  Expr b_ = Expr::symbol("B"), s_ = Expr::symbol("S");
  std::vector<Item> values_;
};

void check(std::uint64_t seed, std::size_t& subgraphs) {
  const Graph graph = RandomModel(seed).build();
  SCOPED_TRACE("BURIN_SEED=" + std::to_string(seed) + "\n" + print(graph));
  const std::vector<Symbols> shapes = {
      {{"B", 2}, {"S", 5}}, {{"B", 1}, {"S", 33}}, {{"B", 0}, {"S", 2}}, {{"B", 2}, {"S", 5}}};
  try {
    expect_model(graph, shapes);
    subgraphs += make_model(graph, true).report().subgraphs.size();
  } catch (const std::exception& e) {
    ADD_FAILURE() << e.what();
  }
}

TEST(ModelFuzz, CarvedAndPlainLikeTheInterpreter) {
  constexpr std::uint64_t kGraphs = 60;
  const char* given = std::getenv("BURIN_SEED");
  const std::uint64_t first =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("BURIN_SEED=%llu\n", static_cast<unsigned long long>(first));
  std::size_t subgraphs = 0;
  const std::uint64_t count = given != nullptr ? 1 : kGraphs;
  for (std::uint64_t i = 0; i < count && !HasFailure(); ++i) check(first + i, subgraphs);
  if (given == nullptr && !HasFailure()) {
    EXPECT_GT(subgraphs, kGraphs);
  }
}

}  // namespace
}  // namespace burin::host
