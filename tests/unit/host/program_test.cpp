// Programs over kernels that keep a record of what they are given: where tensors lie, and when.

#include "graph/canonicalize.h"
#include "host/program.h"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>

#include "burin/error.h"
#include "tests/support/interpret_check.h"
#include "unit/support/error_of.h"

namespace burin::host {
namespace {

/// Where the tensors of one step lay at its last run.
struct Record {
  std::vector<const void*> inputs;
  std::vector<const void*> outputs;
  const void* scratch = nullptr;
};

/// Each output is the sum of all inputs, plus one; works in place of any of them.
class Recorder final : public Kernel {
 public:
  Recorder(Record& record, std::size_t scratch) : record_(record), scratch_(scratch) {}

  bool works_in_place(std::size_t /*input*/) const override { return true; }
  std::size_t scratch_bytes() const override { return scratch_; }

  void bind(const KernelShapes& shapes) override {
    size_ = element_count(shapes.outputs[0], "a test");
    if (size_ == kRefused) throw Error("a recorder does not want to");
  }

  void run(const KernelArguments& arguments) override {
    record_ = {{arguments.inputs.begin(), arguments.inputs.end()},
               {arguments.outputs.begin(), arguments.outputs.end()},
               arguments.scratch};
    if (scratch_ > 0) std::memset(arguments.scratch, 0xff, scratch_);
    for (std::int64_t e = 0; e < size_; ++e) {
      float sum = 1;
      for (const void* input : arguments.inputs) sum += static_cast<const float*>(input)[e];
      for (void* output : arguments.outputs) static_cast<float*>(output)[e] = sum;
    }
  }

  static constexpr std::int64_t kRefused = 13;

 private:
  Record& record_;
  std::size_t scratch_;
  std::int64_t size_ = 0;
};

/// A program in which every node that is no renaming is a Recorder.
class Recorded {
 public:
  explicit Recorded(const std::string& text, std::size_t scratch = 0)
      : graph_(parse_graph(text)), shapes_(graph_, values_in_use(graph_)) {
    std::vector<Step> steps;
    records_.resize(graph_.node_count());
    for (const NodeId id : graph_.order()) {
      const Node& node = graph_.node(id);
      if (only_renames(node.op)) continue;
      auto kernel = std::make_unique<Recorder>(records_[id], scratch);
      steps.push_back({std::move(kernel), node.inputs, node.outputs});
    }
    program_.emplace(graph_, shapes_, std::move(steps));
  }

  Tensor input(std::int64_t size) const {
    return Tensor::from_f32({size}, std::vector<float>(static_cast<std::size_t>(size), 0.5F));
  }
  std::vector<Tensor> run(std::int64_t size) {
    std::vector<Tensor> inputs(graph_.inputs.size(), input(size));
    return program_->run(inputs);
  }
  /// All outputs hold these numbers.
  void expect(std::int64_t size, const std::vector<double>& numbers) {
    const std::vector<Tensor> outputs = run(size);
    ASSERT_EQ(outputs.size(), numbers.size());
    for (std::size_t i = 0; i < outputs.size(); ++i)
      for (std::int64_t e = 0; e < outputs[i].size(); ++e)
        ASSERT_EQ(outputs[i].at(e), numbers[i]) << "output " << i;
  }
  /// Of the node by its place in the text.
  const Record& record(std::size_t node) const { return records_[node]; }
  Program& program() { return *program_; }

 private:
  Graph graph_;
  GraphShapes shapes_;
  std::vector<Record> records_;
  std::optional<Program> program_;
};

TEST(Program, AChainLiesInTheOutput) {
  Recorded chain(R"(graph @g(%x: f32[N]) {
    %a = exp %x
    %b = exp %a
    %c = exp %b
    return %c
  })");
  chain.expect(5, {3.5});
  EXPECT_EQ(chain.record(1).inputs[0], chain.record(1).outputs[0]);
  EXPECT_EQ(chain.record(2).inputs[0], chain.record(2).outputs[0]);
  EXPECT_NE(chain.record(0).inputs[0], chain.record(0).outputs[0]) << "an input of the graph stays";
  EXPECT_EQ(chain.program().arena_bytes(), 0U);
}

TEST(Program, AnInputThatIsReadLaterStays) {
  Recorded g(R"(graph @g(%x: f32[N]) {
    %a = exp %x
    %b = exp %a
    %c = add %b, %a
    return %c
  })");
  g.expect(5, {1.5 + 2.5 + 1});
  EXPECT_NE(g.record(1).inputs[0], g.record(1).outputs[0]);
  EXPECT_EQ(g.record(2).inputs[0], g.record(2).outputs[0]) << "that one is not";
}

TEST(Program, AnInputThatAViewReadsLaterStays) {
  Recorded g(R"(graph @g(%x: f32[N]) {
    %a = exp %x
    %v = unsqueeze %a, axes=[0]
    %b = exp %a
    %c = exp %v
    return %b, %c
  })");
  g.expect(5, {2.5, 2.5});
}

TEST(Program, ANodeThatReadsAValueTwiceDoesNotWorkInItsPlace) {
  Recorded g(R"(graph @g(%x: f32[N]) {
    %a = exp %x
    %b = mul %a, %a
    %c = exp %b
    return %c
  })");
  g.expect(5, {5});
  EXPECT_NE(g.record(1).inputs[0], g.record(1).outputs[0]);
}

TEST(Program, TheSameThroughAView) {
  Recorded g(R"(graph @g(%x: f32[N]) {
    %a = exp %x
    %u = unsqueeze %a, axes=[0]
    %b = mul %u, %a
    %c = exp %b
    return %c
  })");
  g.expect(5, {5});
  EXPECT_EQ(g.record(2).inputs[0], g.record(2).inputs[1]) << "a view lies where its input lies";
  EXPECT_NE(g.record(2).inputs[0], g.record(2).outputs[0]);
}

TEST(Program, AnOutputIsNotWorkedOnInPlace) {
  Recorded g(R"(graph @g(%x: f32[N]) {
    %a = exp %x
    %b = exp %a
    return %a, %b
  })");
  g.expect(5, {1.5, 2.5});
}

TEST(Program, OutputsInOneMemory) {
  Recorded g(R"(graph @g(%x: f32[N]) {
    %a = exp %x
    %v = unsqueeze %a, axes=[0]
    return %a, %v, %a
  })");
  g.expect(5, {1.5, 1.5, 1.5});
  const auto outputs = g.run(5);
  EXPECT_EQ(outputs[1].dims(), (Dims{1, 5}));
}

TEST(Program, ResultsThatNobodyReadsHaveMemory) {
  Recorded g(R"(graph @g(%x: f32[N]) {
    %a, %b = split %x, axis=0
    return %a
  })");
  EXPECT_NO_THROW(g.run(6));
  EXPECT_NE(g.record(0).outputs[0], g.record(0).outputs[1]);
}

TEST(Program, ScratchLiesBesideTheTensorsOfItsStep) {
  Recorded g(R"(graph @g(%x: f32[N]) {
    %a = exp %x
    %b = exp %a
    %c = add %b, %a
    return %c
  })",
             100);
  g.expect(50, {5});
  for (std::size_t node = 0; node < 3; ++node) EXPECT_NE(g.record(node).scratch, nullptr);
}

TEST(Program, IntermediateTensorsShareTheArena) {
  // %a and %b end at %c; %d and %e lie where they lay.
  Recorded g(R"(graph @g(%x: f32[N]) {
    %a = exp %x
    %b = exp %x
    %c = add %a, %b
    %d = exp %c
    %e = exp %c
    %f = add %d, %e
    %h = add %f, %c
    return %h
  })");
  const double c = 1.5 + 1.5 + 1;
  g.expect(16, {2 * (c + 1) + 1 + c + 1});
  EXPECT_LE(g.program().arena_bytes(), 3U * 64U);
}

TEST(Program, ShapesThatChangeBackAndForth) {
  Recorded g(R"(graph @g(%x: f32[N]) {
    %a = exp %x
    %b = exp %a
    %c = add %b, %a
    return %c
  })",
             40);
  std::size_t small = 0;
  for (const std::int64_t size : {3, 1000, 3, 0, 1000, 1, 3}) {
    SCOPED_TRACE(size);
    g.expect(size, {5});
    if (size == 3 && small == 0) small = g.program().arena_bytes();
    if (size == 3) {
      EXPECT_EQ(g.program().arena_bytes(), small);
    }
  }
  EXPECT_EQ(g.program().bindings(), 7U);
  g.expect(3, {5});
  EXPECT_EQ(g.program().bindings(), 7U) << "the shapes are the same";
}

TEST(Program, ABindingThatFailsLeavesItUsable) {
  Recorded g("graph @g(%x: f32[N]) {\n %a = exp %x\n %b = exp %a\n return %b\n}");
  EXPECT_ERROR(g.run(Recorder::kRefused), "does not want to");
  g.expect(5, {2.5});
  EXPECT_ERROR(g.run(Recorder::kRefused), "does not want to");
  EXPECT_ERROR(g.run(Recorder::kRefused), "does not want to") << "and again, at the same shapes";
  EXPECT_ERROR(g.program().run({}), "expected 1 inputs, given 0") << "nothing is bound now";
  EXPECT_ERROR(g.program().run({g.input(2), g.input(2)}), "expected 1 inputs, given 2");
  g.expect(5, {2.5});
}

}  // namespace
}  // namespace burin::host
