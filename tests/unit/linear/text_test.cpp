#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "burin/error.h"
#include "linear/linear_ir.h"
#include "linear/text.h"

namespace burin::linear {
namespace {

void expect_same(const std::string& text) { EXPECT_EQ(print(parse_linear(text)), text); }

std::string error_of(const std::string& text) {
  try {
    parse_linear(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

void expect_error(const std::string& text, const std::string& part) {
  const std::string message = error_of(text);
  EXPECT_NE(message.find(part), std::string::npos) << "in: " << text << "\nmessage: " << message;
}

const char* const kEverything = R"(linear @attention lanes=16 symbols(B, S, T, in0.s0) {
  input %q: f32[B,S,64] strides[in0.s0,64,1]
  input "encoder/x:0": i64[S] strides[1]
  input %m "mask \"m\"": bool[] strides[]
  output %out "y": f32[B,S] strides[S,1]
  constant %c0: f32[3] {1, lowest, -inf}
  constant %c1: f32[768] splat<0.5>
  constant %c2: i64[2,2] {1, -2, 3, 9223372036854775807}
  constant %c3: bool[] {1}
  constant %c4: f32[0] {}
  worker %T: f32[48*S]
  worker %T.buffer: f32[48*S] offset=max(64, 4*S)
  call %X: bf16[B*S] offset=0
  fact S == T "input 'q', dimension 1"
  fact 48 divides S "s"
  fact B >= 1 ""
  parallel _b in 0..B {
    parallel _q.b in 0..S step 48 partial {
      %sum = fill 0 over(_q)
      lanes _q in _q.b..min(S, _q.b + 48) {
        step 48 {
          %x = load %q[B*S*_q + 3]
          %y = elu %x, alpha=0.25
          %z = where %y, %x, %x
          %sum = update_fma %sum, %y, %z
        }
        step 16 partial {
          loop _k in 0..floor_div(S, 2) step 8 partial {
          }
          loop _d in 0..64 {
            %n = integer T - S
            %e = not %n
            store %T[48*_d + _q], %e
          }
          loop _all in 0..2 while %m <= -0.5 {
            %m = fill 1
          }
          loop _e in 0..64 step 8 {
            %m = fill lowest
            %i = fill -inf over(_d, _e)
          }
        }
      }
      %fold = lanes_sum %sum
      brgemm lanes _q in _q.b..S {
        loop _k in 0..4 {
        }
      }
    }
  }
}
)";

TEST(LinearText, RoundTrip) {
  expect_same(kEverything);
  expect_same("linear @a lanes=8 {\n}\n");
  expect_same("linear @\"with blanks, \\\"quotes\\\" and \\n lines\" lanes=8 {\n}\n");
}

TEST(LinearText, ParsesIntoTheTree) {
  const LinearIR ir = parse_linear(kEverything);
  EXPECT_EQ(ir.name, "attention");
  EXPECT_EQ(ir.lanes, 16);
  EXPECT_EQ(ir.symbols, (std::vector<std::string>{"B", "S", "T", "in0.s0"}));
  ASSERT_EQ(ir.inputs.size(), 3U);
  EXPECT_EQ(ir.inputs[1].name, "encoder/x:0");
  EXPECT_EQ(ir.inputs[2].name, "mask \"m\"");
  EXPECT_EQ(ir.inputs[0].strides[0], Expr::symbol("in0.s0"));
  EXPECT_EQ(ir.constants[0].at(1), static_cast<double>(std::numeric_limits<float>::lowest()));
  EXPECT_EQ(ir.constants[2].int_at(3), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(ir.facts.checks().size(), 3U);
  ASSERT_EQ(ir.memory.size(), 11U);  // the second input has none
  EXPECT_EQ(ir.memory[0].name, "q");
  EXPECT_EQ(ir.memory[1].index, 2U);
  EXPECT_FALSE(ir.memory[8].offset.has_value());
  EXPECT_EQ(ir.memory[10].precision, Precision::bf16);

  const Loop& block = *ir.phases[0].loop->body()[0].loop;
  EXPECT_TRUE(block.parallel);
  EXPECT_EQ(block.versions[0].step, 48);
  EXPECT_TRUE(block.versions[0].partial);
  const Loop& lanes = *block.body()[1].loop;
  EXPECT_TRUE(lanes.lanes);
  EXPECT_EQ(lanes.begin, Expr::symbol("_q.b"));
  ASSERT_EQ(lanes.versions.size(), 2U);
  const Expression& update = lanes.body()[3].expression;
  EXPECT_EQ(update.op, Op::update_fma);
  EXPECT_EQ(update.out, update.in[0]);
  EXPECT_EQ(ir.values[update.out], "sum");
  EXPECT_EQ(lanes.body()[1].expression.imm, 0.25);
}

TEST(LinearText, RoundsDefinitionsAndAlternatives) {
  expect_same(R"(linear @a lanes=4 symbols(S, call.workers) {
  input %x: f32[S] strides[1]
  define used = less_equal(48, S)
  define units = min(call.workers, max(1, S))
  call %x.packed: f32[select(used, 4*units, 0)] used used else %x offset=0
  parallel _b in 0..S step 4 partial round units {
  }
  parallel _b in 0..S round 2*units {
  }
}
)");
  const LinearIR ir = parse_linear(
      "linear @a lanes=4 symbols(S) { input %x: f32[S] strides[1]\n define n = S + 1\n call %c: f32[n] used less(n, 4) else %x\n"
      "parallel _b in 0..S step 4 partial round n + 2 { } }");
  EXPECT_EQ(ir.resolve(ir.memory[1].elements), Expr::symbol("S") + 1);
  EXPECT_EQ(ir.memory[1].used, Expr::parse("less(n, 4)"));
  EXPECT_EQ(ir.memory[1].otherwise, 0U);
  EXPECT_EQ(ir.phases[0].loop->round, Expr::symbol("n") + 2);
  EXPECT_EQ(ir.phases[0].loop->versions[0].step, 4);
}

TEST(LinearText, Caches) {
  expect_same("linear @a lanes=4 symbols(S) {\n  output %o: f32[S] strides[1]\n  loop _i in 0..S {\n    %x = fill 1\n"
              "    prefetch %o[_i]\n    prefetch %o[_i + 16] second level\n    prefetch %o[_i + 32] second level once\n    store %o[_i], %x past caches\n  }\n}\n");
}

TEST(LinearText, WhiteSpaceAndComments) {
  const LinearIR ir = parse_linear(
      "// before\nlinear @a\n lanes = 4 symbols( S ) // here {\n{output%o:f32[S]strides[1]loop _i in 0 .. S step 2 partial{"
      "%x=integer S - 1 // the index\nstore%o[_i],%x}}// end");
  EXPECT_EQ(print(ir), R"(linear @a lanes=4 symbols(S) {
  output %o: f32[S] strides[1]
  loop _i in 0..S step 2 partial {
    %x = integer S - 1
    store %o[_i], %x
  }
}
)");
}

TEST(LinearText, ASymbolMayBeCalledStep) {
  expect_same("linear @a lanes=8 symbols(a, step) {\n  loop _i in a + step..2*step step 4 {\n  }\n"
              "  loop _i in 0..a + step {\n  }\n}\n");
}

TEST(LinearText, EveryOperation) {
  LinearIR ir;
  ir.name = "all";
  Memory m{Memory::Kind::worker, "T", 0, Precision::f32, Expr(1), {}};
  const MemoryId memory = ir.new_memory(std::move(m));
  const auto add = [&](Op op, std::string_view text, OpClass kind, int inputs) {
    Expression e;
    e.op = op;
    if (op != Op::store && op != Op::prefetch) e.out = ir.new_value("x");
    e.in.assign(static_cast<std::size_t>(inputs), 0);
    if (kind == OpClass::memory) e.memory = memory;
    ir.phases.emplace_back(std::move(e));
    EXPECT_EQ(op_from_text(text), op);
    EXPECT_EQ(burin::linear::info(op).text, text);
  };
#define LINEAR_OP(name_, text_, class_, inputs_) add(Op::name_, #text_, OpClass::class_, inputs_);
#include "linear/linear_ops.def"
  expect_same(print(ir));
  EXPECT_FALSE(op_from_text("frobnicate").has_value());
  EXPECT_THROW(info(static_cast<Op>(255)), Error);
}

TEST(LinearText, NumbersRoundTrip) {
  for (const double number : {0.0, -0.0, 1.0, -1.5, 0.1, 1e300, 5e-324, 1.0 / 3.0, 0.18033688011112042, 3.4028234663852886e+38,
                              -3.4028234663852886e+38, HUGE_VAL, -HUGE_VAL}) {
    LinearIR ir;
    ir.name = "n";
    Expression e;
    e.op = Op::fill;
    e.out = ir.new_value("x");
    e.imm = number;
    ir.phases.emplace_back(std::move(e));
    const LinearIR again = parse_linear(print(ir));
    EXPECT_EQ(again.phases[0].expression.imm, number);
    EXPECT_EQ(std::signbit(again.phases[0].expression.imm), std::signbit(number));
  }
  EXPECT_TRUE(std::isnan(parse_linear("linear @a lanes=1 { %x = fill nan }").phases[0].expression.imm));
}

TEST(LinearText, ConstantsRoundTrip) {
  LinearIR ir;
  ir.name = "c";
  const auto add = [&](Tensor tensor) {
    ir.new_memory({Memory::Kind::constant, "c", static_cast<std::uint32_t>(ir.constants.size()), tensor.precision(), {}, {}});
    ir.constants.push_back(std::move(tensor));
  };
  for (const Precision p : {Precision::f32, Precision::f64, Precision::f16, Precision::bf16}) {
    Tensor t = Tensor::zeros(p, {2, 4});
    const double values[] = {0.1, -0.0, 1.0 / 3.0, HUGE_VAL, -HUGE_VAL, 1e-7, -65504, 12345.678};
    for (int i = 0; i < 8; ++i) t.set(i, values[i]);
    add(t);
  }
  add(Tensor::from_i64({3}, {-1, 0, 1}));
  Tensor small = Tensor::zeros(Precision::i8, {2});
  small.set_int(0, -128);
  small.set_int(1, 127);
  add(small);
  add(Tensor::scalar(Precision::f32, 0.3));
  const LinearIR again = parse_linear(print(ir));
  EXPECT_EQ(print(again), print(ir));
  ASSERT_EQ(again.constants.size(), ir.constants.size());
  for (std::size_t i = 0; i < ir.constants.size(); ++i)
    for (std::int64_t k = 0; k < ir.constants[i].size(); ++k)
      EXPECT_EQ(again.constants[i].at(k), ir.constants[i].at(k)) << i << ", " << k;
}

TEST(LinearText, LargeConstantsAreHashed) {
  LinearIR ir;
  ir.name = "c";
  Tensor t = Tensor::zeros(Precision::f32, {100});
  t.set(7, 1);
  ir.constants.push_back(t);
  const std::string text = print(ir);
  EXPECT_NE(text.find("constant: f32[100] dense<"), std::string::npos) << text;
  expect_error(text, "line 2, column 27: the elements of a constant printed as dense<...> are not in the text");
}

TEST(LinearText, BrokenIrIsPrinted) {
  LinearIR ir;
  ir.name = "broken";
  ir.values = {"a"};
  Expression e;
  e.op = Op::add;
  e.in = {0, kNone, 77};
  Expression load;
  load.op = Op::load;
  load.memory = 5;
  Loop loop;
  loop.var = "_i";
  loop.lanes = loop.parallel = true;
  ir.phases.emplace_back(std::move(e));
  ir.phases.emplace_back(std::move(load));
  ir.phases.emplace_back(std::move(loop));
  EXPECT_EQ(print(ir), R"(linear @broken lanes=16 {
  %none = add %a, %none, %unknown77
  %none = load %unknown5[0]
  parallel lanes _i in 0..0 {
  }
}
)");
}

TEST(LinearText, ErrorsNameLineAndColumn) {
  expect_error("", "line 1, column 1: expected 'linear'");
  expect_error("linear a", "line 1, column 8: expected '@', found 'a'");
  expect_error("linear @a lanes=x {}", "line 1, column 17: 'x' is not a number");
  expect_error("linear @a lanes=99999999999999999999 {}", "line 1, column 17: 99999999999999999999 is out of range");
  expect_error("linear @a lanes=8 symbols(2) {}", "column 27");
  expect_error("linear @a lanes=8 {", "line 1, column 20: expected a loop, an expression or '}', found the end");
  expect_error("linear @a lanes=8 {} x", "column 22: expected the end of the text");
  expect_error("linear @a lanes=8 {\n  %x = frob %y\n}", "line 2, column 8: there is no operation 'frob'");
  expect_error("linear @a lanes=8 {\n  %x = store %y\n}", "line 2, column 8: a store gives no value");
  expect_error("linear @a lanes=8 {\n  %x = load %y[0]\n}", "line 2, column 14: there is no memory %y");
  expect_error("linear @a lanes=8 {\n  %x = fill 1.2.3\n}", "line 2, column 13: '1.2.3' is not a number");
  expect_error("linear @a lanes=8 {\n  %x = elu %y, beta=1\n}", "line 2, column 16: expected 'alpha'");
  expect_error("linear @a lanes=8 {\n worker %t: f32[8]\n worker %t: f32[8]\n}", "line 3, column 9: %t is declared twice");
  expect_error("linear @a lanes=8 {\n worker %t: f31[8]\n}", "line 2, column 13: 'f31' is not a precision");
  expect_error("linear @a lanes=8 {\n worker %t: f32[8*]\n}", "line 2, column 17");
  expect_error("linear @a lanes=8 {\n worker %t: f32[8, 9]\n}", "expected one index");
  expect_error("linear @a lanes=8 {\n worker %t: f32[8\n}", "expected ']'");
  expect_error("linear @a lanes=8 {\n input %t: f32[8] strids[1]\n}", "line 2, column 19: expected 'strides'");
  expect_error("linear @a lanes=8 {\n loop i in 0.S {\n}\n}", "line 2, column 12: expected begin..end");
  expect_error("linear @a lanes=8 {\n loop i in 0..S + {\n}\n}", "line 2, column 15");
  expect_error("linear @a lanes=8 {\n loop i in 0..4\n", "expected '{'");
  expect_error("linear @a lanes=8 {\n loop i in 0..4 step 2 { step 1 { } }\n}", "already has a step");
  expect_error("linear @a lanes=8 {\n constant %c: f32[S] splat<1>\n}", "the dimensions of a constant are numbers");
  expect_error("linear @a lanes=8 {\n constant %c: f32[3] {1, 2}\n}", "line 2, column 27: expected ','");
  expect_error("linear @a lanes=8 {\n constant %c: f32[1] {1e50}\n}", "1e50 is out of range");
  expect_error("linear @a lanes=8 {\n constant %c: i8[1] {300}\n}", "300 does not fit i8");
  expect_error("linear @a lanes=8 {\n constant %c: i8[1] {0.5}\n}", "'0.5' is not a number");
  expect_error("linear @a lanes=8 {\n constant %c: f32[1000000,1000000] splat<0>\n}", "too large");
  expect_error("linear @a lanes=8 {\n constant %c: f32[-1] splat<0>\n}", "negative");
  expect_error("linear @a lanes=8 {\n fact S < T \"x\"\n}", "expected A == B");
  expect_error("linear @a lanes=8 {\n fact S == T\n}", "expected '\"'");
  expect_error("linear @a lanes=8 {\n fact S >= T \"x\"\n}", "the bound is a number");
  expect_error("linear @a lanes=8 {\n fact 1 == 2 \"x\"\n}", "line 2");
  expect_error("linear @\"a lanes=8 {}", "no closing");
}

TEST(LinearText, NestingIsLimited) {
  std::string text = "linear @a lanes=8 {\n";
  for (int i = 0; i < 100000; ++i) text += "loop _i in 0..1 {\n";
  expect_error(text, "nested more than 64 deep");
}

TEST(LinearText, NoTextCrashesTheParser) {
  const std::string text = kEverything;
  for (std::size_t i = 0; i < text.size(); i += 7) {
    error_of(text.substr(0, i));
    error_of(std::string(text).erase(i, 1));
    for (const char c : {'{', '}', '[', '"', '%', '/', '9', '\0'}) {
      std::string changed = text;
      changed[i] = c;
      error_of(changed);
    }
  }
}

TEST(LinearIr, NamesAreUnique) {
  LinearIR ir;
  EXPECT_EQ(ir.values[ir.new_value("max")], "max");
  EXPECT_EQ(ir.values[ir.new_value("max")], "max1");
  EXPECT_EQ(ir.values[ir.new_value("max1")], "max2");
  EXPECT_EQ(ir.values[ir.new_value("a/b c")], "a_b_c");
  EXPECT_EQ(ir.values[ir.new_value("")], "v");
  EXPECT_EQ(ir.memory[ir.new_memory({Memory::Kind::worker, "max", 0, Precision::f32, {}, {}})].name, "max3");
  EXPECT_EQ(ir.memory[ir.new_memory({Memory::Kind::worker, "max.buffer", 0, Precision::f32, {}, {}})].name, "max.buffer");
  EXPECT_EQ(ir.values[ir.new_value("max3")], "max4");
}

TEST(LinearIr, FreshVariables) {
  const LinearIR ir = parse_linear(R"(linear @a lanes=4 symbols(S) {
    worker %T: f32[S]
    loop _k in 0..S {
      %x = load %T[_k + _i]
      %y = fill 0 over(_o)
    }
  })");
  EXPECT_EQ(fresh_variable(ir, "_k"), "_k1");
  EXPECT_EQ(fresh_variable(ir, "k"), "_k1");
  EXPECT_EQ(fresh_variable(ir, "_i"), "_i1");
  EXPECT_EQ(fresh_variable(ir, "_o"), "_o1");
  EXPECT_EQ(fresh_variable(ir, "_new"), "_new");
}

TEST(LinearIr, CloneIsDeep) {
  LinearIR ir = parse_linear(kEverything);
  LinearIR copy = parse_linear("linear @a lanes=16 {}");
  copy.values = ir.values;
  const std::string before = print(ir);
  Block block = clone(ir.phases);
  for_each_loop(block, [](Loop& loop) { loop.end = 1; });
  for_each_expression(block, [](Expression& e) { e.index = 7; });
  EXPECT_EQ(print(ir), before);
  ir.phases = clone(ir.phases);
  EXPECT_EQ(print(ir), before);
}

TEST(LinearIr, WalksVisitAllVersionsInOrder) {
  const LinearIR ir = parse_linear(kEverything);
  std::string loops;
  for_each_loop(ir.phases, [&](const Loop& loop) { loops += loop.var + " "; });
  EXPECT_EQ(loops, "_b _q.b _q _k _d _all _e _q _k ");
  std::string first;
  int count = 0;
  for_each_expression(ir.phases, [&](const Expression& e) {
    if (count++ == 1) first = to_string(e, ir);
  });
  EXPECT_EQ(first, "%x = load %q[B*S*_q + 3]");
  EXPECT_EQ(count, 12);
}

}  // namespace
}  // namespace burin::linear
