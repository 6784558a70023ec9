#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "burin/error.h"
#include "linear/linear_ir.h"

namespace burin::linear {
namespace {

using Check = void (*)(const LinearIR&);

std::string kernel(const std::string& body) {
  return "linear @k lanes=4 symbols(N, S, in0.s0) {\n"
         "  input %x: f32[N,S] strides[in0.s0,1]\n"
         "  output %y: f32[N,S] strides[S,1]\n"
         "  constant %c: f32[2] {1, 2}\n"
         "  worker %T: f32[S]\n"
         "  call %C: f32[N*S]\n" +
         body + "\n}\n";
}

std::string error_of(const LinearIR& ir, Check check) {
  try {
    check(ir);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_part(const std::string& message, const std::string& part, const std::string& text) {
  EXPECT_NE(message.find(part), std::string::npos) << "expected: " << part << "\nmessage: " << message << "\nin: " << text;
}

void accept(const std::string& body) {
  EXPECT_EQ(error_of(parse_linear(kernel(body)), verify_registers), "") << body;
  EXPECT_EQ(error_of(parse_linear(kernel(body)), verify), "") << body;
}

/// verify() accepts it, verify_registers() does not.
void reject_in_registers(const std::string& body, const std::string& part) {
  const LinearIR ir = parse_linear(kernel(body));
  EXPECT_EQ(error_of(ir, verify), "") << body;
  expect_part(error_of(ir, verify_registers), part, body);
}

void reject(const std::string& body, const std::string& part) {
  const LinearIR ir = parse_linear(kernel(body));
  expect_part(error_of(ir, verify), part, body);
  EXPECT_NE(error_of(ir, verify_registers), "") << body;
}

/// A sound kernel, then broken by `change`.
void reject_changed(const std::function<void(LinearIR&)>& change, const std::string& part) {
  LinearIR ir = parse_linear(kernel("parallel _i in 0..N { lanes _j in 0..S step 4 partial {\n"
                                    "%a = load %x[in0.s0*_i + _j]\n %b = add %a, %a\n store %y[S*_i + _j], %b } }"));
  ASSERT_EQ(error_of(ir, verify_registers), "");
  change(ir);
  expect_part(error_of(ir, verify), part, print(ir));
}

Expression& first(LinearIR& ir, Op op) {
  Expression* found = nullptr;
  for_each_expression(ir.phases, [&](Expression& e) {
    if (e.op == op) found = &e;
  });
  return *found;
}

const std::string kStoreAll = "parallel _u in 0..N { lanes _v in 0..S step 4 partial {\n %all = fill 0\n store %y[S*_u + _v], %all } }\n";

TEST(LinearVerifier, AcceptsSoundKernels) {
  accept(kStoreAll);
  accept("%a = fill 0\n store %y[0], %a");  // no loops at all
  accept("parallel _b in 0..S step 8 partial { lanes _j in _b..min(S, _b + 8) { step 8 {\n %a = load %x[_j]\n store %y[_j], %a }\n"
         "step 4 partial {\n %a = load %x[_j]\n store %y[_j], %a } } }");
  // A running value over the tile of a loop that runs once.
  accept("parallel _b in 0..S step 8 partial { %m = fill -inf over(_j)\n loop _i in 0..N {\n"
         "lanes _j in _b..min(S, _b + 8) step 8 partial {\n %a = load %x[in0.s0*_i + _j]\n %m = update_max %m, %a } }\n"
         "lanes _j in _b..min(S, _b + 8) step 8 partial { store %y[_j], %m } }");
  // A fold across lanes.
  accept("parallel _i in 0..N { %m = fill 0 over(_j)\n lanes _j in 0..S { step 8 {\n %a = load %x[_j]\n %m = update_sum %m, %a }\n"
         "step 4 partial {\n %a = load %x[_j]\n %m = update_sum %m, %a } }\n %s = lanes_sum %m\n %d = integer S\n %r = div %s, %d\n"
         "loop _j in 0..S { store %y[S*_i + _j], %r } }");
}

TEST(LinearVerifier, Names) {
  reject_changed([](LinearIR& ir) { ir.lanes = 0; }, "Linear IR @k: lanes=0; expected at least 1");
  reject_changed([](LinearIR& ir) { ir.symbols.emplace_back("S"); }, "two symbols are called S");
  reject_changed([](LinearIR& ir) { ir.symbols.emplace_back("_S"); }, "symbol _S starts with '_'");
  reject_changed([](LinearIR& ir) { ir.values.emplace_back("a"); }, "two values are called a");
  reject_changed([](LinearIR& ir) { ir.values.emplace_back(""); }, "a value has no name");
  reject_changed([](LinearIR& ir) { ir.memory[0].name = "T"; }, "two memories are called T");
}

TEST(LinearVerifier, PortsAndMemory) {
  reject_changed([](LinearIR& ir) { ir.inputs[0].strides.pop_back(); }, "input 0 'x' has 2 dimensions and 1 strides");
  reject_changed([](LinearIR& ir) { ir.inputs[0].shape[0] = Expr::symbol("M"); }, "input 0 'x': M names M, which is no symbol");
  reject_changed([](LinearIR& ir) { ir.inputs[0].strides[1] = 2; }, "input 0 'x': the innermost stride is 2; expected 1");
  reject_changed([](LinearIR& ir) { ir.outputs[0].strides[0] = Expr::symbol("N"); }, "output 0 'y': stride 0 is N; a dense one is S");
  reject_changed([](LinearIR& ir) { ir.memory[0].index = 1; }, "%x stands for tensor 1, which does not exist");
  reject_changed([](LinearIR& ir) { ir.memory[0].precision = Precision::i32; }, "%x holds i32; its tensor holds f32");
  reject_changed([](LinearIR& ir) { ir.memory[2].kind = Memory::Kind::input; }, "%c stands for a tensor that another memory stands for");
  reject_changed([](LinearIR& ir) { ir.outputs.push_back(ir.outputs[0]); }, "output 1 'y' has no memory");
  reject_changed([](LinearIR& ir) { ir.memory[3].elements = Expr::symbol("_i"); }, "%T: _i names _i, which is no symbol");
  reject_changed([](LinearIR& ir) { ir.memory[3].offset = Expr::symbol("Z"); }, "%T: Z names Z, which is no symbol");
  reject("%a = fill 0\n store %T[0], %a", "output %y is never stored");
}

TEST(LinearVerifier, Definitions) {
  reject_changed([](LinearIR& ir) { ir.definitions.emplace_back("S", 4); }, "two symbols are called S");
  reject_changed([](LinearIR& ir) { ir.definitions = {{"a", Expr::symbol("b")}, {"b", 4}}; }, "definition of a: b names b");
  reject_changed([](LinearIR& ir) { ir.memory[3].otherwise = 0; }, "%T is scratch of a worker: nothing takes its place");
  reject_changed([](LinearIR& ir) { ir.memory[4].otherwise = 1; }, "%C: an input or constant that holds f32 takes its place");
  reject_changed([](LinearIR& ir) { ir.memory[4].used = Expr::symbol("Z"); }, "%C: Z names Z");
}

TEST(LinearVerifier, Rounds) {
  const std::string body = " { %p = fill 0\n store %C[_i], %p } \n";
  const auto two = [&](const std::string& first, const std::string& second) {
    return kStoreAll + "parallel _i in 0..N" + first + body + "parallel _i in 0.." + second + body;
  };
  accept(two(" round 2", "N round 2"));
  accept(two("", "N round 2"));
  reject(two(" round 2", "N"), "the phase of loop _i has rounds of fewer loops than the one in front of it");
  reject(two(" round 2", "N round 3"), "loop _i and loop _i of an earlier phase differ");
  reject(two(" round 2", "S round 2"), "loop _i and loop _i of an earlier phase differ");
  reject(kStoreAll + "loop _i in 0..N round 2" + body, "loop _i has a round but is not parallel");
  reject(kStoreAll + "parallel _i in 0..N round M" + body, "the round of loop _i: M names M");
}

TEST(LinearVerifier, Loops) {
  const auto loop = [](const std::string& header, const std::string& part) { reject(kStoreAll + header + " { }", part); };
  loop("loop i in 0..S", "in loop i: a loop variable starts with '_'");
  reject(kStoreAll + "loop _i in 0..S { loop _i in 0..S { } }", "in loop _i > _i: an enclosing loop has the same variable");
  loop("loop _i in 0..M", "the bound M names M, which is neither a symbol nor");
  loop("loop _i in 0.._i + 1", "the bound _i + 1 names _i");
  reject(kStoreAll + "lanes _i in 0..S step 4 partial { loop _j in 0.._i { } }", "a bound names _i, the variable of a lane loop");
  loop("loop _i in 0..S step 0", "a step is 0");
  loop("loop _i in 0..S step 4", "the last step, 4, is not partial and is not known to divide S");
  reject(kStoreAll + "loop _i in 0..S { step 4 { }\n step 4 { }\n step 1 { } }", "step 4 follows step 4; steps must descend");
  reject(kStoreAll + "loop _i in 0..S { step 4 { }\n step 8 partial { } }", "step 8 follows step 4; steps must descend");
  reject(kStoreAll + "loop _i in 0..S { step 4 partial { }\n step 1 { } }", "step 4 is partial, not the last");
  reject(kStoreAll + "lanes _i in 0..S { step 64 partial { }\n step 16 partial { } }", "step 64 is partial, not the last");
  reject(kStoreAll + "lanes _i in 0..S { step 16 partial { }\n step 16 partial { } }", "steps must descend");
  loop("lanes _i in 0..S step 6 partial", "step 6 is not a multiple of the 4 lanes");
  reject(kStoreAll + "lanes _i in 0..S step 4 partial { lanes _j in 0..S step 4 partial { } }", "lane loop _i encloses another one");
  reject(kStoreAll + "loop _i in 0..S { parallel _j in 0..S { } }", "a parallel loop stands inside of a loop that is not: _i");
  loop("parallel lanes _i in 0..S", "a parallel loop cannot be a lane loop");
  reject(kStoreAll + "parallel _i in 0..S { step 4 { }\n step 1 { } }", "a parallel loop has one version, given 2");
  reject(kStoreAll + "parallel _i in 0..S { %q = fill 0\n parallel _j in 0..S { } }", "a parallel loop holds another one and something else");
  reject_changed([](LinearIR& ir) { ir.phases[0].loop->versions.clear(); }, "loop _i has no version");
  accept(kStoreAll + "lanes _i in 0..S { step 8 { }\n step 4 { }\n step 1 { } }");  // a tail without masks
  reject(kStoreAll + "lanes _i in 0..S { step 8 { }\n step 2 { }\n step 1 { } }", "step 2 is not a multiple of the 4 lanes");
  accept(kStoreAll + "loop _i in 4*S..8*S step 4 { }");
  accept(kStoreAll + "loop _i in 4*S..8*S { step 8 { }\n step 4 { } }");
  reject(kStoreAll + "loop _i in 4*S..8*S { step 6 { }\n step 4 { } }", "the last step, 4, is not partial and is not known to divide 4*S");
  accept(kStoreAll + "loop _i in 0..2 while %a <= -1 { %a = fill 0 }");
  reject(kStoreAll + "loop _i in 0..2 while %a <= -1 { loop _j in 0..2 { %a = fill 0 } }",
         "the condition reads %a, which the body itself does not hold");
  reject(kStoreAll + "parallel _i in 0..2 while %a <= -1 { %a = fill 0 }", "a loop with a condition is neither parallel nor of lanes");
  reject(kStoreAll + "loop _i in 0..2 while %a <= -1 step 2 { %a = fill 0 }", "a loop with a condition has one version, of step 1");
}

TEST(LinearVerifier, FormsOfExpressions) {
  const auto expression = [](const std::string& line, const std::string& part) {
    reject(kStoreAll + "loop _i in 0..S { %a = fill 0\n " + line + " }", part);
  };
  expression("%b = add %a", "in '%b = add %a': add takes 2 operands, given 1");
  expression("%b = update_sum %a, %a", "update_sum writes %b but reads %a: they must be one variable");
  expression("store %x[0], %a", "%x is read only");
  expression("store %T[_i], %a past caches", "only a store of an output goes past the caches");
  expression("store %c[0], %a", "%c is read only");
  reject_changed([](LinearIR& ir) { first(ir, Op::add).once = true; }, "only a prefetch is made once for a tile");
  reject_changed([](LinearIR& ir) { first(ir, Op::add).second_level = true; }, "only a prefetch brings to the second level");
  expression("%b = load %x[_j]", "in loop _i, in '%b = load %x[_j]': the index names _j, which is neither a symbol nor");
  expression("%b = integer M", "the index names M");
  expression("%b = lanes_sum %a", "%a does not vary over a lane loop");
  reject_changed([](LinearIR& ir) { first(ir, Op::add).in[0] = 99; }, "an operand does not exist");
  reject_changed([](LinearIR& ir) { first(ir, Op::add).out = 99; }, "the output does not exist");
  reject_changed([](LinearIR& ir) { first(ir, Op::add).out = kNone; }, "there is no output");
  reject_changed([](LinearIR& ir) { first(ir, Op::store).out = 0; }, "a store has no output");
  reject_changed([](LinearIR& ir) { first(ir, Op::load).memory = 99; }, "the memory does not exist");
  reject_changed([](LinearIR& ir) { first(ir, Op::load).memory = kNone; }, "load needs a memory");
  reject_changed([](LinearIR& ir) { first(ir, Op::add).memory = 0; }, "add does not take a memory");
  reject_changed([](LinearIR& ir) { first(ir, Op::add).over = {"_i"}; }, "only a fill has `over`");
}

TEST(LinearVerifier, OverNamesLoops) {
  const auto fill = [](const std::string& over, const std::string& rest, const std::string& part) {
    reject(kStoreAll + "loop _i in 0..S step 2 partial { %a = fill 0 over(" + over + ")\n" + rest + " }", part);
  };
  fill("_z", "", "`over` names _z, which neither encloses the fill nor follows it");
  fill("_i, _i", "", "`over` names _i twice");
  fill("_u", "", "`over` names _u, which neither");  // of another nest
  fill("_i", "loop _k in _i.._i + 2 { }", "`over` names _i, which only blocks");
  accept(kStoreAll + "loop _i in 0..S step 2 partial { %a = fill 0 over(_i, _k)\n loop _j in 0..S { loop _k in 0..S { } } }");
}

TEST(LinearVerifier, Tiles) {
  const std::string two_rows =
      "loop _i in 0..N step 2 partial { loop _k in 0..S step 2 partial {\n%a = load %x[in0.s0*_i + _k]\n store %y[S*_i + _k], %a } }";
  reject(two_rows, "its tiles span two row loops, _i and _k");
  reject_in_registers(kStoreAll + "loop _i in 0..N step 2 partial { loop _k in 0..S step 2 partial {\n%a = load %x[_k] } }",
                      "tiled row loop _i encloses another one");
  reject(kStoreAll + "loop _i in 0..S step 2 partial { %a = load %x[_i]\n store %T[0], %a }", "%a varies over _i; the index does not");
  accept(kStoreAll + "loop _i in 0..S { %a = load %x[_i]\n store %T[0], %a }");  // one position at a time
  reject(kStoreAll + "loop _i in 0..S step 2 partial { %a = load %x[_i]\n %m = fill 0\n %m = assign %m, %a }",
         "%a varies over _i; %m does not");
  // Block loops are no tiles.
  accept(kStoreAll + "parallel _i in 0..S step 2 partial { loop _k in _i..min(S, _i + 2) step 2 partial { %a = load %x[_k - _i]\n"
                     "store %C[_k], %a } }");
}

TEST(LinearVerifier, SumsDoNotDependOnSteps) {
  const std::string one = "parallel _b in 0..N { %s = fill 0\n %one = fill 1\n loop _i in 0..S";
  accept(kStoreAll + one + " { %s = update_sum %s, %one } }");
  reject(kStoreAll + one + " step 2 partial { %s = update_sum %s, %one } }", "no operand varies over _i: the sum would depend on the step 2");
  accept(kStoreAll + one + " step 2 partial { %s = update_max %s, %one } }");
  // Each tile has its own variable.
  accept(kStoreAll + "loop _i in 0..S step 2 partial { %s = fill 0\n loop _k in 0..N { %a = load %x[_k]\n %s = update_sum %s, %a } }");
  reject_in_registers(kStoreAll + "parallel _b in 0..N { %s = fill 0\n lanes _i in 0..S step 4 partial { %a = load %x[_i]\n"
                      "%s = update_sum %s, %a } }", "only lanes_* folds across lanes");
}

TEST(LinearVerifier, ReadAfterWrite) {
  reject(kStoreAll + "loop _i in 0..S { %b = abs %a\n %a = load %x[_i] }", "%a is read before it is written on every path");
  reject(kStoreAll + "loop _i in 0..S { %a = update_sum %a, %a }", "%a is read before it is written");
  reject(kStoreAll + "loop _i in 0..S { step 2 { %a = load %x[_i] }\n step 1 { %b = abs %a } }", "%a is read before it is written");
  // Not in all versions.
  reject(kStoreAll + "loop _i in 0..S { step 2 { %a = load %x[_i] }\n step 1 { } }\n loop _i in 0..S { %b = abs %a }",
         "%a is read before it is written");
  accept(kStoreAll + "%a = fill 0\n loop _i in 0..S { %b = abs %a }");
}

TEST(LinearVerifier, ValuesThatCrossLoops) {
  const std::string both = "parallel _u in 0..N { loop _i in 0..S { %a = load %x[_i] }\n";
  reject_in_registers(kStoreAll + both + "loop _i in 0..S { %b = abs %a } }", "%a is written in loop _i, which does not enclose this use");
  reject_in_registers(kStoreAll + both + "loop _k in 0..N { loop _i in 0..S { %b = abs %a } } }", "%a is written in loop _i");
  reject(kStoreAll + both + "%b = abs %a }", "%a is written in loop _i, and no loops over the same variables enclose this use");
  reject(kStoreAll + both + "loop _j in 0..S { %b = abs %a } }", "and no loops over the same variables enclose this use");
  // Through a block loop, over which the value does not vary.
  reject_in_registers(kStoreAll + "parallel _u in 0..N { loop _b in 0..S step 8 partial { loop _i in _b..min(S, _b + 8) { %a = load %x[_i] } }\n"
                      "loop _i in 0..S { %b = abs %a } }", "%a is written in loop _b");
  // In all versions.
  reject_in_registers(kStoreAll + "parallel _u in 0..N { loop _i in 0..S { step 2 { %a = load %x[_i] }\n step 1 { %a = load %x[_i] } }\n"
                      "loop _i in 0..S { %b = abs %a } }", "%a is written in loop _i");
  // A running value over a loop of many tiles.
  reject_in_registers("parallel _u in 0..N { %m = fill 0 over(_j)\n loop _i in 0..N { lanes _j in 0..S step 4 partial {\n"
                      "%a = load %x[in0.s0*_i + _j]\n %m = update_sum %m, %a } }\n"
                      "lanes _j in 0..S step 4 partial { store %y[S*_u + _j], %m } }",
                      "%m is defined in front of loop _j and varies over it: registers hold one tile only");
  reject_in_registers(kStoreAll + "parallel _u in 0..N { %m = fill 0 over(_j)\n loop _j in 0..S step 2 partial {\n"
                      "%a = load %x[_j]\n %m = update_sum %m, %a } }", "%m is defined in front of loop _j");
}

TEST(LinearVerifier, PhasesAreApart) {
  reject("parallel _i in 0..N { %a = fill 0 }\n parallel _i in 0..N { store %y[_i], %a }", "%a crosses from one phase to another");
  reject("%a = fill 0\n parallel _i in 0..N { store %y[_i], %a }", "%a crosses from one phase to another");
  accept("%a = fill 0\n loop _i in 0..N { store %y[_i], %a }");
}

}  // namespace
}  // namespace burin::linear
