// Plans that are right, and plans broken by hand.

#include "linear/scratch_checker.h"

#include <gtest/gtest.h>

#include "dataflow/dataflow.h"
#include "linear/lower.h"
#include "linear/passes/passes.h"
#include "tests/unit/support/error_of.h"

namespace burin::linear {
namespace {

LinearIR kernel(const std::string& scratch, const std::string& body) {
  return parse_linear(
      "linear @k lanes=4 symbols(S) {\n input %x: f32[S] strides[1]\n output %y: f32[S] "
      "strides[1]\n" +
      scratch + "parallel _one in 0..1 {\n" + body + "}\n}");
}

std::string two(const std::string& offset_of_u) {
  return "worker %T: f32[S] offset=0\n worker %U: f32[S] offset=" + offset_of_u + "\n";
}

/// T is filled, U is made of T, y of U.
const char* const kOneAfterAnother = R"(
  loop _i in 0..S { %a = load %x[_i]
    store %T[_i], %a }
  loop _i in 0..S { %b = load %T[_i]
    store %U[_i], %b }
  loop _i in 0..S { %c = load %U[_i]
    store %y[_i], %c }
)";

TEST(ScratchChecker, TakesTurns) {
  // The next iteration still reads T when U is stored.
  EXPECT_ERROR(check_scratch(kernel(two("0"), kOneAfterAnother)),
               "%U in bytes 0..4 is stored while %T in bytes 0..4 is needed, for S=1");
  EXPECT_NO_THROW(check_scratch(kernel(two("4*S"), kOneAfterAnother)));
  EXPECT_ERROR(check_scratch(kernel(two("2*S"), kOneAfterAnother)),
               "%U in bytes 2..6 is stored while %T");
  // Right for some sizes is not right.
  EXPECT_ERROR(check_scratch(kernel(two("64"), kOneAfterAnother)), "for S=37");
  EXPECT_ERROR(check_scratch(kernel(two("0 - 4*S"), kOneAfterAnother)), "offset");
}

TEST(ScratchChecker, MayOverlapWhenNoLongerNeeded) {
  EXPECT_NO_THROW(check_scratch(kernel(two("0"), R"(
    loop _i in 0..S { %a = load %x[_i]
      store %T[_i], %a }
    loop _i in 0..S { %b = load %T[_i]
      store %y[_i], %b }
    loop _i in 0..S { %c = load %x[_i]
      store %U[_i], %c }
    loop _i in 0..S { %d = load %U[_i]
      store %y[_i], %d }
  )")));
}

TEST(ScratchChecker, BackEdges) {
  const std::string body = R"(
    loop _i in 0..S { BEGIN
      %a = load %x[_i]
      store %U[0], %a
      %b = load %U[0]
      END
      store %y[_i], %b })";
  const auto with = [&](std::string front, const std::string& begin, const std::string& end) {
    std::string text = std::move(front) + body;
    text.replace(text.find("BEGIN"), 5, begin);
    text.replace(text.find("END"), 3, end);
    return kernel(two("0"), text);
  };
  // Each iteration fills T anew and is done with it before U.
  EXPECT_NO_THROW(
      check_scratch(with("", "%t = load %x[0]\n store %T[0], %t\n %u = load %T[0]\n", "")));
  // The next iteration reads what this one leaves. (All of T is made anew at the end, so nothing
  // would be lost; but that a store covers all that was there is not looked into.)
  EXPECT_ERROR(check_scratch(with("%z = fill 0\n store %T[0], %z\n", "%t = load %T[0]\n",
                                  "store %T[0], %a\n")),
               "%U in bytes");
  EXPECT_ERROR(check_scratch(with("%z = fill 0\n store %T[0], %z\n", "%t = load %T[0]\n", "")),
               "%U in bytes");
  // Nobody has written it.
  EXPECT_ERROR(check_scratch(with("", "%t = load %T[0]\n", "")), "%T is read before it is written");
}

TEST(ScratchChecker, EveryIterationAddsItsPart) {
  // U comes between the parts of T, which are read behind the loop.
  EXPECT_ERROR(check_scratch(kernel(two("0"), R"(
    loop _i in 0..S { %a = load %x[_i]
      store %U[0], %a
      %b = load %U[0]
      store %T[_i], %b }
    loop _i in 0..S { %c = load %T[_i]
      store %y[_i], %c }
  )")),
               "%U in bytes 0..4 is stored while %T");
}

TEST(ScratchChecker, AnIterationReadsWhatTheOneBeforeLeft) {
  const auto body = [](const std::string& first, const std::string& second) {
    return "loop _u in 0..S + 1 { loop _before in max(0, _u - 1).._u { " + first + " }\n" +
           "loop _now in _u..min(S, _u + 1) { " + second + " } }\n";
  };
  const std::string load = "%a = load %T[0]\n store %y[_before], %a\n";
  const std::string store = "%b = load %x[_now]\n store %T[0], %b\n";
  const std::string other = "store %U[0], %b\n %c = load %U[0]\n";
  EXPECT_NO_THROW(check_scratch(kernel(two("4*S"), body(load, store + other))));
  EXPECT_ERROR(check_scratch(kernel(two("0"), body(load, store + other))),
               "%U in bytes 0..4 is stored while %T");
  // Not if no loop leads back to the load.
  EXPECT_ERROR(check_scratch(kernel(two("4*S"), body(load, "") + body("", store))),
               "%T is read before it is written");
}

TEST(ScratchChecker, NoOffset) {
  EXPECT_ERROR(
      check_scratch(kernel("worker %T: f32[S]\n worker %U: f32[S] offset=0\n", kOneAfterAnother)),
      "%T has no offset");
}

/// Attention behind all passes; each pair of its buffers laid over each other is right or found.
class Attention : public ::testing::TestWithParam<SoftmaxForm> {
 protected:
  void SetUp() override {
    Graph graph = parse_graph(
        R"(graph @attention(%q: f32[B,S,2,8], %k: f32[B,S,2,8], %v: f32[B,S,2,8], %m: f32[B,1,S,S]) {
      %0 = transpose %q, perm=[0,2,1,3]
      %1 = transpose %k, perm=[0,2,3,1]
      %2 = matmul %0, %1
      %3 = add %2, %m
      %4 = softmax %3, axis=3
      %5 = transpose %v, perm=[0,2,1,3]
      %6 = matmul %4, %5
      %7 = transpose %6, perm=[0,2,1,3]
      return %7
    })");
    dataflow_pipeline().run(graph);
    const AxisMap axes = analyze_axes(graph);
    ScheduleOptions options;
    options.softmax_form = GetParam();
    const Schedule schedule = choose_schedule(graph, axes, target_for(Isa::avx2), options);
    ir_ = lower(graph, axes, schedule, target_for(Isa::avx2));
    linear_pipeline(schedule).run(ir_);
  }

  LinearIR ir_;
};
INSTANTIATE_TEST_SUITE_P(Forms, Attention,
                         ::testing::Values(SoftmaxForm::score_rows, SoftmaxForm::online));

/// Whether the interpreter, which knows who wrote each byte, agrees with a plan.
bool runs(const LinearIR& ir) {
  const std::map<std::string, std::int64_t> sizes = {{"B", 1}, {"S", 13}};
  std::vector<Tensor> inputs;
  for (const Port& p : ir.inputs) {
    Dims dims;
    for (const Expr& e : p.shape) dims.push_back(e.evaluate(sizes));
    inputs.push_back(Tensor::zeros(Precision::f32, dims));
  }
  try {
    interpret(ir, inputs);
    return true;
  } catch (const Error&) {
    return false;
  }
}

TEST_P(Attention, BrokenPlansAreFound) {
  ASSERT_NO_THROW(check_scratch(ir_));
  int found = 0, harmless = 0;
  for (Memory& a : ir_.memory)
    for (const Memory& b : ir_.memory) {
      if (!a.offset || !b.offset || *a.offset == *b.offset) continue;
      const auto old = a.offset;
      a.offset = b.offset;
      const bool wrong = burin::test::error_of([&] { check_scratch(ir_); }) != "no error";
      EXPECT_TRUE(wrong || runs(ir_)) << a.name << " over " << b.name;
      ++(wrong ? found : harmless);
      a.offset = old;
    }
  EXPECT_GT(found, 0);
  EXPECT_GE(harmless, 0);
}

}  // namespace
}  // namespace burin::linear
