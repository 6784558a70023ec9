// A plugin's way through Burin: build a model, carve it, compile what was carved, run it on the
// host's threads with the host's memory layout, and get the same numbers as the reference
// interpreter. Any difference, or an exception that is lost at the library's border, is exit
// code 1.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <string>

#include <burin/compile.h>
#include <burin/error.h>
#include <burin/graph.h>
#include <burin/tokenize.h>

#include "plugin.h"
#include "thread_pool.h"

namespace {

using burin::Expr;
using burin::OpKind;
using burin::Precision;
using burin::Tensor;

constexpr std::int64_t kHeads = 3, kHeadSize = 16;

/// One attention head group whose projections are done, the residual, an activation.
burin::Graph model() {
  burin::GraphBuilder b("block");
  const Expr batch = Expr::symbol("B"), queries = Expr::symbol("S"), keys = Expr::symbol("T");
  const auto q = b.input("q", Precision::f32, {batch, kHeads, queries, kHeadSize});
  const auto k = b.input("k", Precision::f32, {batch, kHeads, keys, kHeadSize});
  const auto v = b.input("v", Precision::f32, {batch, kHeads, keys, kHeadSize});
  const auto mask = b.input("mask", Precision::f32, {batch, 1, 1, keys});
  const auto residual = b.input("residual", Precision::f32, {batch, kHeads, queries, kHeadSize});
  const auto kt = b.op(OpKind::Transpose, {k}, {{"perm", std::vector<std::int64_t>{0, 1, 3, 2}}});
  auto x = b.op(OpKind::MatMul, {q, kt});
  x = b.op(OpKind::Mul, {x, b.scalar(0.25F)});
  x = b.op(OpKind::Add, {x, mask});
  x = b.op(OpKind::Softmax, {x}, {{"axis", std::int64_t{3}}});
  x = b.op(OpKind::MatMul, {x, v});
  x = b.op(OpKind::Add, {x, residual});
  b.output(b.op(OpKind::Gelu, {x}));
  return b.build();
}

Tensor random(const burin::Dims& dims, std::mt19937& generator) {
  Tensor t = Tensor::zeros(Precision::f32, dims);
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < t.size(); ++i) t.mutable_as<float>()[i] = normal(generator);
  return t;
}

std::vector<Tensor> inputs_of(std::int64_t batch, std::int64_t queries, std::int64_t keys) {
  std::mt19937 generator(7);
  std::vector<Tensor> inputs;
  for (const std::int64_t length : {queries, keys, keys})
    inputs.push_back(random({batch, kHeads, length, kHeadSize}, generator));
  Tensor mask = Tensor::zeros(Precision::f32, {batch, 1, 1, keys});
  for (std::int64_t i = 0; i < mask.size(); i += 4) mask.set(i, -1e9);
  inputs.push_back(mask);
  inputs.push_back(random({batch, kHeads, queries, kHeadSize}, generator));
  return inputs;
}

int failures = 0;

void check(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  ++failures;
}

/// The largest difference; infinity where the shapes differ or one of the numbers is NaN.
double difference(const Tensor& a, const Tensor& b) {
  if (a.dims() != b.dims()) return INFINITY;
  double largest = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(a.at(i) - b.at(i));
    if (!(d <= largest)) largest = std::isnan(d) ? INFINITY : d;
  }
  return largest;
}

void compare(const burin::Graph& graph, const Plugin& plugin, burin::Dims sizes, ThreadPool& pool) {
  const std::vector<Tensor> inputs = inputs_of(sizes[0], sizes[1], sizes[2]);
  const Tensor expected = burin::interpret(graph, inputs)[0];
  const std::string subject = "B, S, T = " + burin::to_string(sizes);
  for (const int workers : {1, 3}) {
    const Tensor actual = plugin.run(inputs, workers, pool)[0];
    const double d = difference(expected, actual);
    check(d < 1e-5, subject + ": differs by " + std::to_string(d));
  }
}

void check_results(ThreadPool& pool) {
  const burin::Graph graph = model();
  burin::Graph carved = graph;
  const burin::TokenizeReport report = burin::tokenize(carved);
  check(report.attentions_carved == 1, "one attention is carved");
  const Plugin plugin(carved);
  check(plugin.compiled_count() == report.subgraphs.size(), "all that was carved is compiled");
  const burin::CodegenStatistics before = burin::codegen_statistics();
  for (const burin::Dims& sizes : {burin::Dims{2, 37, 50}, {1, 1, 1}, {3, 64, 16}, {1, 100, 129}})
    compare(graph, plugin, sizes, pool);
  check(before.events > 0 && burin::codegen_statistics().events == before.events,
        "no code is generated after compile()");
  check(pool.tasks() > 0, "the host's threads are used");
}

/// Whether a burin::Error arrives as one, with these words.
template <typename Action>
void check_error(const Action& action, const std::string& words) {
  try {
    action();
    check(false, "expected an error with the words: " + words);
  } catch (const burin::Error& e) {
    check(std::string(e.what()).find(words) != std::string::npos,
          "expected the words '" + words + "' in: " + e.what());
  } catch (...) {
    check(false, "an exception of another type crossed the border, not: " + words);
  }
}

void check_errors() {
  burin::Graph carved = model();
  burin::tokenize(carved);
  burin::NodeId attention = burin::kNone;
  for (const burin::NodeId id : carved.order())
    if (carved.node(id).op == OpKind::Subgraph && attention == burin::kNone) attention = id;
  const burin::CompiledSubgraph compiled = burin::compile(*carved.node(attention).body);
  check_error([] { burin::parse_graph("no graph"); }, "expected");
  check_error([&] { compiled.bind({}); }, "inputs, given 0");
  check_error(
      [&] { compiled.bind(std::vector<burin::TensorDesc>(carved.node(attention).inputs.size())); },
      "expected rank 4, given 0");
  burin::CompileOptions options;
  options.isa = "mmx";
  check_error([&] { burin::compile(*carved.node(attention).body, options); }, "mmx");
}

}  // namespace

int main() {
  try {
    ThreadPool pool(3);
    check_results(pool);
    check_errors();
  } catch (const std::exception& e) {
    check(false, e.what());
  }
  if (failures == 0) std::puts("the installed package works");
  return failures == 0 ? 0 : 1;
}
