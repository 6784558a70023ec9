// What a caller can get wrong when shapes are bound and kernels are run, and what binding gives.

#include <cstdlib>

#include "linear/passes/passes.h"
#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {
namespace {

constexpr std::size_t kQuery = 0, kKey = 1, kMask = 3;

std::vector<TensorDesc> attention_shapes() {
  return {{{2, 2, 5, 16}, {}}, {{2, 2, 7, 16}, {}}, {{2, 2, 7, 16}, {}}, {{2, 1, 5, 7}, {}}};
}

TEST(Bind, OutputShapes) {
  EXPECT_EQ(compiled(attention()).bind(attention_shapes()).output_shapes(),
            (std::vector<Dims>{{2, 2, 5, 16}}));
  const auto two = compiled(R"(graph @two(%x: f32[M,N]) {
    %0 = exp %x
    %1 = reduce_sum %0, axes=[1], keepdims=1
    return %0, %1
  })");
  EXPECT_EQ(two.bind(std::vector<TensorDesc>{{{3, 40}, {}}}).output_shapes(),
            (std::vector<Dims>{{3, 40}, {3, 1}}));
}

TEST(Bind, NumberOfInputsAndRank) {
  const CompiledSubgraph a = compiled(attention());
  auto shapes = attention_shapes();
  shapes.pop_back();
  EXPECT_ERROR(a.bind(shapes), "attention: expected 4 inputs, given 3");
  shapes = attention_shapes();
  shapes[kMask].shape = {5, 7};
  EXPECT_ERROR(a.bind(shapes), "tensor 'mask': expected rank 4, given 2");
}

TEST(Bind, DimensionsThatContradict) {
  const CompiledSubgraph a = compiled(attention());
  auto shapes = attention_shapes();
  shapes[kKey].shape[0] = 3;
  EXPECT_ERROR(a.bind(shapes), "tensor 'k', dimension 0: expected B = 2, given 3");
  shapes = attention_shapes();
  shapes[kMask].shape[3] = 8;
  EXPECT_ERROR(a.bind(shapes), "tensor 'mask', dimension 3: expected T = 7, given 8");
  shapes = attention_shapes();
  shapes[kQuery].shape[1] = 4;
  EXPECT_ERROR(a.bind(shapes), "tensor 'q', dimension 1: expected 2 = 2, given 4");
  shapes = attention_shapes();
  shapes[kQuery].shape[2] = -1;
  EXPECT_ERROR(a.bind(shapes), "tensor 'q', dimension 2: negative size -1");
}

TEST(Bind, Strides) {
  const CompiledSubgraph a = compiled(attention());
  auto shapes = attention_shapes();
  shapes[kQuery].strides = {160, 80, 16};
  EXPECT_ERROR(a.bind(shapes), "tensor 'q': expected 4 strides, given 3");
  shapes[kQuery].strides = {320, 160, 32, 2};
  EXPECT_ERROR(a.bind(shapes), "tensor 'q', dimension 3: expected stride 1, given 2");
  // Of a dimension of one element the stride is never used.
  const auto x = compiled("graph @x(%x: f32[M,N]) {\n %0 = exp %x\n return %0\n}");
  EXPECT_NO_THROW(x.bind(std::vector<TensorDesc>{{{3, 1}, {5, 7}}}));
}

TEST(Bind, ExplicitSymbols) {
  const auto doubled = compiled("graph @doubled(%x: f32[2*S]) {\n %0 = exp %x\n return %0\n}");
  EXPECT_EQ(doubled.explicit_symbols(), std::vector<std::string>{"S"});
  const std::vector<TensorDesc> ten = {{{10}, {}}};
  EXPECT_ERROR(doubled.bind(ten),
               "doubled: symbol 'S' is not determined by the inputs and was not given");
  EXPECT_ERROR(doubled.bind(ten, {{"S", 4}}),
               "tensor 'x', dimension 0: expected 2*S = 8, given 10");
  EXPECT_EQ(doubled.bind(ten, {{"S", 5}}).output_shapes(), (std::vector<Dims>{{10}}));
  EXPECT_TRUE(compiled(attention()).explicit_symbols().empty());
}

TEST(Bind, FactsThatAreViolated) {
  // The product says that D and E are the same.
  const auto product = compiled(R"(graph @scores(%q: f32[S,D], %k: f32[E,T]) {
    %0 = matmul %q, %k
    %1 = softmax %0, axis=1
    return %1
  })");
  EXPECT_NO_THROW(product.bind(std::vector<TensorDesc>{{{3, 8}, {}}, {{8, 5}, {}}}));
  const std::string message = burin::test::error_of([&] {
    product.bind(std::vector<TensorDesc>{{{3, 8}, {}}, {{9, 5}, {}}});
  });
  for (const char* part : {"'q'", "'k'", "D == E", "8", "9"}) EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(Bind, Workers) {
  EXPECT_ERROR(compiled(attention()).bind(attention_shapes(), {}, 0),
               "expected at least 1 worker, given 0");
}

class Run : public ::testing::Test {
 protected:
  Graph graph_ = attention();
  CompiledSubgraph compiled_ = compiled(graph_);
  std::vector<Tensor> inputs_ =
      burin::testing::random_inputs(graph_, {{"B", 2}, {"S", 5}, {"T", 7}}, 1);
  Tensor output_ = Tensor::zeros(Precision::f32, {2, 2, 5, 16});
  std::vector<const void*> in_ = pointers_of(inputs_);
  std::vector<void*> out_ = {output_.mutable_data()};
};

TEST_F(Run, BeforeBind) {
  Invocation unbound = compiled_.invocation();
  EXPECT_ERROR(unbound.run(in_, out_), "attention: run() before bind()");
  // An error leaves the invocation unbound: what it computed before does not count any more.
  Invocation failed = compiled_.bind(shapes_of(inputs_));
  EXPECT_ERROR(failed.rebind({}), "expected 4 inputs");
  EXPECT_ERROR(failed.run(in_, out_), "run() before bind()");
  failed.rebind(shapes_of(inputs_));
  EXPECT_NO_THROW(failed.run(in_, out_));
}

TEST_F(Run, Pointers) {
  Invocation bound = compiled_.bind(shapes_of(inputs_));
  EXPECT_ERROR(bound.run({}, out_), "expected 4 inputs and 1 outputs, given 0 and 1");
  in_[kMask] = nullptr;
  EXPECT_ERROR(bound.run(in_, out_), "tensor 'mask': null pointer");
  in_ = pointers_of(inputs_);
  out_[0] = nullptr;
  EXPECT_ERROR(bound.run(in_, out_), "null pointer");
}

TEST_F(Run, LentScratch) {
  Invocation bound = compiled_.bind(shapes_of(inputs_));
  const Tensor expected = run_bound(bound, inputs_)[0];
  alignas(64) static std::byte memory[1 << 16];
  ASSERT_LE(bound.scratch_bytes(), sizeof(memory) - 64);
  EXPECT_ERROR(bound.set_scratch(std::span(memory).subspan(1)), "not aligned to 64 bytes");
  bound.set_scratch(std::span(memory).first(bound.scratch_bytes() - 1));
  EXPECT_ERROR(bound.run(in_, out_), "bytes of scratch, given");
  bound.set_scratch(std::span(memory).first(bound.scratch_bytes()));
  EXPECT_TRUE(same_bits(run_bound(bound, inputs_)[0], expected));
}

TEST_F(Run, EmptyTensorsNeedNoPointer) {
  Invocation bound = compiled_.invocation();
  const auto run_empty = [&](std::int64_t batch, std::int64_t queries) {
    bound.rebind(std::vector<TensorDesc>{{{batch, 2, queries, 16}, {}},
                                         {{batch, 2, 7, 16}, {}},
                                         {{batch, 2, 7, 16}, {}},
                                         {{batch, 1, queries, 7}, {}}});
    std::vector<const void*> in(in_);
    if (batch == 0) in.assign(4, nullptr);
    if (queries == 0) in[kQuery] = in[kMask] = nullptr;
    out_[0] = nullptr;
    bound.run(in, out_);
    return bound.output_shapes()[0];
  };
  EXPECT_EQ(run_empty(0, 5), (Dims{0, 2, 5, 16}));
  EXPECT_EQ(run_empty(2, 0), (Dims{2, 2, 0, 16}));
  EXPECT_EQ(run_empty(0, 0), (Dims{0, 2, 0, 16}));
}

TEST(CompileOptionsTest, UnknownWords) {
  CompileOptions options;
  options.isa = "sse9";
  EXPECT_ERROR(compile(attention(), options),
               "subgraph 'attention': unknown instruction set 'sse9'");
  options.isa = "none";
  EXPECT_ERROR(compile(attention(), options), "no AVX2");
  options.isa = "";
  options.softmax_form = "sideways";
  EXPECT_ERROR(compile(attention(), options),
               "softmax form 'sideways': expected score_rows or online");
}

/// BURIN_ISA for the duration of a scope.
class IsaVariable {
 public:
  explicit IsaVariable(const char* value) {
    if (const char* old = std::getenv("BURIN_ISA")) old_ = old, had_ = true;
    ::setenv("BURIN_ISA", value, 1);
  }
  ~IsaVariable() { had_ ? ::setenv("BURIN_ISA", old_.c_str(), 1) : ::unsetenv("BURIN_ISA"); }

 private:
  std::string old_;
  bool had_ = false;
};

TEST(CompileOptionsTest, BurinIsaCapsTheMachine) {
  const auto steps = [](const CompiledSubgraph& c) {
    for (const auto& [name, value] : c.schedule())
      if (name == "lane_steps") return value;
    return std::string();
  };
  CompileOptions avx2, avx512;
  avx2.isa = "avx2";
  avx512.isa = "avx512";
  const std::string narrow = steps(compile(attention(), avx2));
  const IsaVariable variable("avx2");
  EXPECT_EQ(steps(compile(attention())), narrow);
  EXPECT_ERROR(compile(attention(), avx512), "instruction set avx512: this machine offers avx2");
}

TEST(CompileOptionsTest, BurinIsaUnknown) {
  const IsaVariable variable("altivec");
  EXPECT_ERROR(compile(attention()), "altivec");
}

TEST(CompileOptionsTest, Dumps) {
  std::map<std::string, std::string> forms;
  CompileOptions options;
  options.dump = [&](std::string_view stage, const std::string& text) {
    forms[std::string(stage)] = text;
  };
  Graph graph = attention();
  graph.name = "layer/0/attention";  // the names of dumps are names of files
  compile(graph, options);
  std::string all;
  for (const auto& [stage, text] : forms) {
    EXPECT_TRUE(stage.starts_with("layer_0_attention.")) << stage;
    EXPECT_FALSE(text.empty()) << stage;
    all += stage + ' ';
  }
  for (const char* part :
       {".dataflow.", ".linear.00.lower ", ".insert_buffers ", ".vcode ", ".allocated ", ".annotated "})
    EXPECT_NE(all.find(part), std::string::npos) << part << " in " << all;
}

TEST(CompileOptionsTest, PassesLeftOut) {
  const Graph graph = attention();
  const auto inputs = burin::testing::random_inputs(graph, {{"B", 2}, {"S", 5}, {"T", 7}}, 1);
  const Tensor expected = interpret(graph, inputs)[0];
  const auto pipeline = linear::linear_pipeline({});
  for (const auto& pass : pipeline.passes()) {
    if (pass.required) continue;
    CompileOptions options;
    options.disabled_passes = {pass.name};
    const Tensor actual = run(compile(graph, options), inputs)[0];
    EXPECT_LT(burin::testing::relative_difference(expected, actual), 1e-5) << pass.name;
  }
}

}  // namespace
}  // namespace burin::runtime_test
