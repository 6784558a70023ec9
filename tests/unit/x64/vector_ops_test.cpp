// Every operation on vectors and masks against a model in plain C++, on each instruction set, with
// the second source as a register, a constant and memory, and with the destination in the register
// of each source.

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "burin/error.h"
#include "support/integer_division.h"
#include "tests/unit/x64/vcode_kernel.h"

namespace burin::codegen::test {
namespace {

using Lanes = std::vector<std::uint32_t>;

float as_float(std::uint32_t bits) { return std::bit_cast<float>(bits); }
std::uint32_t as_bits(float value) { return std::bit_cast<std::uint32_t>(value); }

/// What an operation does with whole vectors.
using Model = std::function<Lanes(const Lanes&, const Lanes&, const Lanes&)>;

template <typename F>
Model floats(F f) {
  return [f](const Lanes& a, const Lanes& b, const Lanes& c) {
    Lanes r(a.size());
    for (std::size_t n = 0; n < a.size(); ++n)
      r[n] = as_bits(f(as_float(a[n]), as_float(b[n]), as_float(c[n])));
    return r;
  };
}
template <typename F>
Model words(F f) {
  return [f](const Lanes& a, const Lanes& b, const Lanes& c) {
    Lanes r(a.size());
    for (std::size_t n = 0; n < a.size(); ++n) r[n] = f(a[n], b[n], c[n]);
    return r;
  };
}
/// Within each 128-bit block: f(lane in the block) gives the source (0 or 1) and its lane.
template <typename F>
Model in_blocks(F f) {
  return [f](const Lanes& a, const Lanes& b, const Lanes&) {
    Lanes r(a.size());
    for (std::size_t n = 0; n < a.size(); ++n) {
      const auto [source, lane] = f(n % 4);
      r[n] = (source == 0 ? a : b)[n / 4 * 4 + lane];
    }
    return r;
  };
}

struct OpCase {
  VOp op;
  int sources;
  Model model;
  std::int64_t imm = 0;
  Isa only = Isa::none;  ///< the one instruction set that has it
};

using Pair = std::pair<int, std::size_t>;

float scale_exponent(float a, float b, float) {
  if (std::isnan(b)) return b;
  if (std::isinf(b)) {
    const float scale = b > 0 ? b : 0.0F;
    return std::isnan(a) ? scale : a * scale;  // not NaN: as the manual has it
  }
  return static_cast<float>(
      std::ldexp(double{a}, static_cast<int>(std::clamp(std::floor(b), -400.0F, 400.0F))));
}

bool is_signalling(float a) { return std::isnan(a) && (as_bits(a) & 0x400000U) == 0; }

float limit_magnitude(float a, float b, float) {
  if (is_signalling(a) || is_signalling(b)) return NAN;
  if (std::isnan(b) || std::abs(a) <= std::abs(b)) return a;
  return std::copysign(b, a);
}

std::vector<OpCase> cases() {
  std::vector<OpCase> list{
      {VOp::mov, 1, words([](auto a, auto, auto) { return a; })},
      {VOp::add, 2, floats([](float a, float b, float) { return a + b; })},
      {VOp::sub, 2, floats([](float a, float b, float) { return a - b; })},
      {VOp::mul, 2, floats([](float a, float b, float) { return a * b; })},
      {VOp::div, 2, floats([](float a, float b, float) { return a / b; })},
      {VOp::min, 2, floats([](float a, float b, float) { return a < b ? a : b; })},
      {VOp::max, 2, floats([](float a, float b, float) { return a > b ? a : b; })},
      {VOp::sqrt, 1, floats([](float a, float, float) { return std::sqrt(a); })},
      {VOp::fma, 3, floats([](float a, float b, float c) { return std::fma(a, b, c); })},
      {VOp::fnma, 3, floats([](float a, float b, float c) { return std::fma(-a, b, c); })},
      {VOp::round, 1, floats([](float a, float, float) { return std::nearbyint(a); }), 0},
      {VOp::round, 1, floats([](float a, float, float) { return std::floor(a); }), 1},
      {VOp::round, 1, floats([](float a, float, float) { return std::ceil(a); }), 2},
      {VOp::round, 1, floats([](float a, float, float) { return std::trunc(a); }), 3},
      {VOp::fraction, 1,
       floats([](float a, float, float) { return std::isinf(a) ? 0.0F : a - std::floor(a); }), 0,
       Isa::avx512},
      {VOp::scale_exponent, 2, floats(scale_exponent), 0, Isa::avx512},
      {VOp::limit_magnitude, 2, floats(limit_magnitude), 0, Isa::avx512},
      {VOp::and_bits, 2, words([](auto a, auto b, auto) { return a & b; })},
      {VOp::or_bits, 2, words([](auto a, auto b, auto) { return a | b; })},
      {VOp::xor_bits, 2, words([](auto a, auto b, auto) { return a ^ b; })},
      {VOp::add_i32, 2, words([](auto a, auto b, auto) { return a + b; })},
      {VOp::sub_i32, 2, words([](auto a, auto b, auto) { return a - b; })},
      {VOp::mul_i32, 2, words([](auto a, auto b, auto) { return a * b; })},
      {VOp::min_i32, 2, words([](auto a, auto b, auto) { return static_cast<std::int32_t>(a) < static_cast<std::int32_t>(b) ? a : b; })},
      {VOp::max_i32, 2, words([](auto a, auto b, auto) { return static_cast<std::int32_t>(a) > static_cast<std::int32_t>(b) ? a : b; })},
      {VOp::to_i32, 1, words([](auto a, auto, auto) {
         const double x = std::nearbyint(double{as_float(a)});
         if (!(x >= -0x1p31 && x < 0x1p31)) return 0x80000000U;
         return static_cast<std::uint32_t>(static_cast<std::int32_t>(x));
       })},
      {VOp::to_f32, 1, words([](auto a, auto, auto) {
         return as_bits(static_cast<float>(static_cast<std::int32_t>(a)));
       })},
      {VOp::unpack_low32, 2, in_blocks([](std::size_t n) { return Pair(n % 2, n / 2); })},
      {VOp::unpack_high32, 2, in_blocks([](std::size_t n) { return Pair(n % 2, 2 + n / 2); })},
      {VOp::unpack_low64, 2, in_blocks([](std::size_t n) { return Pair(n / 2, n % 2); })},
      {VOp::unpack_high64, 2, in_blocks([](std::size_t n) { return Pair(n / 2, 2 + n % 2); })},
      {VOp::lookup16, 2,
       [](const Lanes& a, const Lanes& b, const Lanes&) {
         Lanes r;
         for (const std::uint32_t index : a) r.push_back(b[index % b.size()]);
         return r;
       }},
  };
  for (const int by : {0, 1, 7, 23, 31}) {
    list.push_back({VOp::shl_i32, 1, words([by](auto a, auto, auto) { return a << by; }), by});
    list.push_back({VOp::shr_i32, 1, words([by](auto a, auto, auto) { return a >> by; }), by});
    list.push_back({VOp::sar_i32, 1, words([by](auto a, auto, auto) {
                      return static_cast<std::uint32_t>(static_cast<std::int32_t>(a) >> by);
                    }),
                    by});
  }
  for (const std::size_t imm : {0x00, 0x1b, 0xb1, 0x4e, 0xe4, 0x39})
    list.push_back({VOp::permute_in128, 1,
                    in_blocks([imm](std::size_t n) { return Pair(0, imm >> (2 * n) & 3); }),
                    static_cast<std::int64_t>(imm)});
  for (const std::size_t imm : {0x44, 0xee, 0x88, 0xdd, 0x1b, 0x00})
    list.push_back({VOp::shuffle128, 2,
                    [imm](const Lanes& a, const Lanes& b, const Lanes&) {
                      Lanes r;
                      for (std::size_t n = 0; n < 16; ++n)
                        r.push_back((n < 8 ? a : b)[(imm >> (n / 4 * 2) & 3) * 4 + n % 4]);
                      return r;
                    },
                    static_cast<std::int64_t>(imm), Isa::avx512});
  for (const std::size_t imm : {0x20, 0x31, 0x21, 0x30, 0x02, 0x13})
    list.push_back({VOp::shuffle128, 2,
                    [imm](const Lanes& a, const Lanes& b, const Lanes&) {
                      Lanes r;
                      for (std::size_t n = 0; n < 8; ++n) {
                        const std::size_t pick = imm >> (n / 4 * 4) & 3;
                        r.push_back((pick < 2 ? a : b)[pick % 2 * 4 + n % 4]);
                      }
                      return r;
                    },
                    static_cast<std::int64_t>(imm), Isa::avx2});
  return list;
}

/// A mixture: any bits, ordinary numbers, small whole numbers, and the special ones.
class Inputs {
 public:
  Lanes next(std::size_t lanes) {
    Lanes r(lanes);
    for (std::uint32_t& x : r) x = word();
    return r;
  }
  std::uint32_t word() {
    static constexpr float kInf = std::numeric_limits<float>::infinity();
    static constexpr float kSpecial[] = {
        0.0F,      -0.0F,      1.0F,      -1.0F,           kInf, -kInf, NAN,
        0x1p-140F, -0x1p-127F, 0x1p-126F, 0x1.fffffep127F, 0.5F, 2.5F};
    switch (random_() % 4) {
      case 0: return static_cast<std::uint32_t>(random_());
      case 1: return as_bits(std::normal_distribution<float>(0, 10)(random_));
      case 2: return static_cast<std::uint32_t>(random_() % 64) - 32;
      default: return as_bits(kSpecial[random_() % std::size(kSpecial)]);
    }
  }

 private:
  std::mt19937_64 random_{7};
};

/// Two NaNs are equal where the operation computes; where it moves bits, they must be the same.
bool moves_bits(VOp op) {
  switch (op) {
    case VOp::add:
    case VOp::sub:
    case VOp::mul:
    case VOp::div:
    case VOp::sqrt:
    case VOp::fma:
    case VOp::fnma:
    case VOp::fma_acc:
    case VOp::fmod:
    case VOp::round:
    case VOp::fraction:
    case VOp::scale_exponent:
    case VOp::limit_magnitude: return false;
    default: return true;
  }
}

bool same(std::uint32_t got, std::uint32_t expected, VOp op) {
  const float g = as_float(got), e = as_float(expected);
  if (!moves_bits(op) && std::isnan(g) && std::isnan(e)) return true;
  // Rounds down what lies between 1 - 2^-24 and 1, and its zero has either sign.
  if (op == VOp::fraction) return std::abs(g - e) <= 0x1p-24F;
  return got == expected;
}

void expect_lanes(const Lanes& got, const Lanes& expected, VOp op, const std::string& what) {
  for (std::size_t n = 0; n < expected.size(); ++n)
    ASSERT_TRUE(same(got[n], expected[n], op))
        << what << ", lane " << n << ": got " << as_float(got[n]) << fmt::format(" ({:#x})", got[n])
        << ", expected " << as_float(expected[n]) << fmt::format(" ({:#x})", expected[n]);
}

/// Where the destination goes, and what the second source is.
enum class Form {
  fresh,
  onto_0,
  onto_1,
  onto_2,
  same_sources,
  constant,
  constant_onto_0,
  memory,
  memory_onto_0,
  memory_onto_2,
  splat,
  splat_onto_0,
  constant_2,
  constant_2_onto_0,
  constant_2_onto_1,
  constants,
  constants_onto_0
};
constexpr Form kForms[] = {Form::fresh,
                           Form::onto_0,
                           Form::onto_1,
                           Form::onto_2,
                           Form::same_sources,
                           Form::constant,
                           Form::constant_onto_0,
                           Form::memory,
                           Form::memory_onto_0,
                           Form::memory_onto_2,
                           Form::splat,
                           Form::splat_onto_0,
                           Form::constant_2,
                           Form::constant_2_onto_0,
                           Form::constant_2_onto_1,
                           Form::constants,
                           Form::constants_onto_0};

bool applies(Form form, const OpCase& c, Isa isa) {
  const bool flexible = info(c.op).flexible[1];
  switch (form) {
    case Form::fresh:
    case Form::onto_0: return true;
    case Form::onto_1:
    case Form::same_sources: return c.sources >= 2;
    case Form::onto_2: return c.sources == 3;
    case Form::constant:
    case Form::constant_onto_0:
    case Form::memory:
    case Form::memory_onto_0:
    case Form::splat: return flexible;
    case Form::memory_onto_2: return flexible && c.sources == 3;
    case Form::splat_onto_0: return flexible && isa == Isa::avx512;
    case Form::constant_2:
    case Form::constant_2_onto_0:
    case Form::constant_2_onto_1:
    case Form::constants:
    case Form::constants_onto_0: return c.op == VOp::fma || c.op == VOp::fnma;
  }
  return false;
}

void check(const OpCase& c, Form form, Isa isa, Registers registers, Inputs& inputs) {
  Kernel kernel(isa);
  const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
  const std::uint32_t constant_word = inputs.word();
  std::array<VReg, 3> in{};
  for (int s = 0; s < 3; ++s) in.at(static_cast<std::size_t>(s)) = kernel.load(kernel.pointer(s));
  const VReg memory = kernel.pointer(1);
  if (form == Form::same_sources) in[1] = in[0];

  Instruction i;
  i.op = c.op;
  i.imm = c.imm;
  for (int s = 0; s < c.sources; ++s)
    i.src.at(static_cast<std::size_t>(s)) = reg(in.at(static_cast<std::size_t>(s)));
  switch (form) {
    case Form::constant:
    case Form::constant_onto_0: i.src[1] = constant_bits(constant_word); break;
    case Form::memory:
    case Form::memory_onto_0:
    case Form::memory_onto_2:
      i.src[1] = {Operand::Kind::memory, kNoReg, 0};
      i.mem = Kernel::at(memory);
      break;
    case Form::splat:
    case Form::splat_onto_0:
      i.src[1] = {Operand::Kind::memory_splat, kNoReg, 0};
      i.mem = Kernel::at(memory, 4);
      break;
    case Form::constant_2:
    case Form::constant_2_onto_0:
    case Form::constant_2_onto_1: i.src[2] = constant_bits(constant_word); break;
    case Form::constants:
    case Form::constants_onto_0: i.src[1] = i.src[2] = constant_bits(constant_word); break;
    default: break;
  }
  switch (form) {
    case Form::onto_0:
    case Form::constant_onto_0:
    case Form::memory_onto_0:
    case Form::splat_onto_0:
    case Form::constants_onto_0:
    case Form::constant_2_onto_0: i.dst = in[0]; break;
    case Form::onto_1:
    case Form::constant_2_onto_1: i.dst = in[1]; break;
    case Form::onto_2:
    case Form::memory_onto_2: i.dst = in[2]; break;
    default: i.dst = kernel.b.vector();
  }
  kernel.b.append(i);
  kernel.store(i.dst, kernel.pointer(3));
  kernel.finish(registers);

  for (int round = 0; round < 10; ++round) {
    Lanes a = inputs.next(lanes), b = inputs.next(lanes), d = inputs.next(lanes), got(lanes);
    kernel.run({a.data(), b.data(), d.data(), got.data()});
    Lanes model_b = b, model_c = d;
    if (form == Form::same_sources) model_b = a;
    if (i.src[1].kind == Operand::Kind::constant) model_b.assign(lanes, constant_word);
    if (i.src[1].kind == Operand::Kind::memory_splat) model_b.assign(lanes, b[1]);
    if (i.src[2].kind == Operand::Kind::constant) model_c.assign(lanes, constant_word);
    expect_lanes(got, c.model(a, model_b, model_c), c.op,
                 fmt::format("{} on {}, form {}", print(kernel.b.program(), i), to_string(isa),
                             static_cast<int>(form)));
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(VectorOps, EveryFormOfEveryOperation) {
  Inputs inputs;
  for (const Isa isa : runnable_isas())
    for (const OpCase& c : cases()) {
      if (c.only != Isa::none && c.only != isa) continue;
      for (const Form form : kForms)
        for (const Registers registers : {Registers::ascending, Registers::descending})
          if (applies(form, c, isa)) {
            ASSERT_NO_FATAL_FAILURE(check(c, form, isa, registers, inputs));
          }
    }
}

/// An operation with temporaries, whose sources are read behind it as well.
void check_with_temps(VOp op, std::size_t sources, const std::vector<RegClass>& temps, const Model& model, Isa isa,
                      Registers registers, Inputs& inputs) {
  Kernel kernel(isa);
  const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
  const auto bytes = kernel.target.vector_bytes;
  const VReg from = kernel.pointer(0), to = kernel.pointer(1);
  Instruction i;
  i.op = op;
  i.dst = kernel.b.vector();
  std::array<VReg, 3> in{};
  for (std::size_t s = 0; s < sources; ++s) {
    in.at(s) = kernel.load(from, static_cast<std::int64_t>(s) * bytes);
    i.src.at(s) = reg(in.at(s));
  }
  for (const RegClass temp : temps) i.temps.at(i.temp_count++) = kernel.b.make(temp);
  kernel.b.append(i);
  for (std::size_t s = 0; s < sources; ++s) kernel.store(in.at(s), to, static_cast<std::int64_t>(s) * bytes);
  kernel.store(i.dst, to, static_cast<std::int64_t>(sources) * bytes);
  kernel.finish(registers);
  for (int round = 0; round < 40; ++round) {
    Lanes a = inputs.next(lanes), b = inputs.next(lanes), c = inputs.next(lanes);
    if (op == VOp::i64_to_f32 && round % 2 == 0)  // what one word holds, in all lanes
      for (std::size_t n = 0; n < lanes; ++n) b[n] = (a[n] >> 31) != 0 ? ~0U : 0U;
    if (op == VOp::div_i64 && round % 2 == 0)
      for (Lanes* of : {&a, &b})
        for (std::size_t n = 0; n < lanes; n += 2) (*of)[n + 1] = ((*of)[n] >> 31) != 0 ? ~0U : 0U;
    Lanes read, expected;
    for (const Lanes* source : {&a, &b, &c}) read.insert(read.end(), source->begin(), source->end());
    read.resize(sources * lanes);
    expected = read;
    const Lanes result = model(a, b, c);
    expected.insert(expected.end(), result.begin(), result.end());
    Lanes got(expected.size());
    kernel.run({read.data(), got.data()});
    expect_lanes(got, expected, op, fmt::format("{} on {}", print(kernel.b.program(), i), to_string(isa)));
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(VectorOps, LookupsInTwoVectors) {
  const Model model = [](const Lanes& index, const Lanes& first, const Lanes& second) {
    Lanes r;
    for (const std::uint32_t i : index) {
      const std::size_t at = i % (2 * first.size());
      r.push_back(at < first.size() ? first[at] : second[at - first.size()]);
    }
    return r;
  };
  Inputs inputs;
  for (const Isa isa : runnable_isas())
    for (const Registers registers : {Registers::ascending, Registers::descending})
      if (target_for(isa).has_lookup_both) {
        ASSERT_NO_FATAL_FAILURE(check_with_temps(VOp::lookup_both, 3, {RegClass::vector}, model, isa, registers, inputs));
      }
}

TEST(VectorOps, PairsOfWordsToFloats) {
  const Model model = words([](std::uint32_t low, std::uint32_t high, std::uint32_t) {
    return as_bits(static_cast<float>(static_cast<std::int64_t>(std::uint64_t{high} << 32 | low)));
  });
  Inputs inputs;
  for (const Isa isa : runnable_isas())
    for (const Registers registers : {Registers::ascending, Registers::descending}) {
      ASSERT_NO_FATAL_FAILURE(
          check_with_temps(VOp::i64_to_f32, 2, {RegClass::vector, RegClass::general}, model, isa, registers, inputs));
    }
}

/// The machine code has several ways of its own; which one is taken hangs on all lanes.
TEST(VectorOps, DivisionsAndHighProducts) {
  const Model of_i32 = words([](std::uint32_t a, std::uint32_t b, std::uint32_t) {
    return static_cast<std::uint32_t>(quotient_of(static_cast<std::int32_t>(a), static_cast<std::int32_t>(b)));
  });
  const Model of_i64 = [](const Lanes& a, const Lanes& b, const Lanes&) {
    Lanes r;
    for (std::size_t n = 0; n < a.size(); n += 2) {
      const auto pair = [&](const Lanes& of) { return static_cast<std::int64_t>(std::uint64_t{of[n + 1]} << 32 | of[n]); };
      const auto q = static_cast<std::uint64_t>(quotient_of(pair(a), pair(b)));
      r.insert(r.end(), {static_cast<std::uint32_t>(q), static_cast<std::uint32_t>(q >> 32)});
    }
    return r;
  };
  const Model high = words([](std::uint32_t a, std::uint32_t b, std::uint32_t) { return static_cast<std::uint32_t>(std::uint64_t{a} * b >> 32); });
  const Model remainder = floats([](float a, float b, float) { return std::fmod(a, b); });
  const std::vector<RegClass> vectors(4, RegClass::vector), three(3, RegClass::vector), two(2, RegClass::vector);
  Inputs inputs;
  for (const Isa isa : runnable_isas())
    for (const Registers registers : {Registers::ascending, Registers::descending}) {
      ASSERT_NO_FATAL_FAILURE(check_with_temps(VOp::div_i32, 2, two, of_i32, isa, registers, inputs));
      ASSERT_NO_FATAL_FAILURE(check_with_temps(VOp::div_i64, 2, vectors, of_i64, isa, registers, inputs));
      ASSERT_NO_FATAL_FAILURE(check_with_temps(VOp::fmod, 2, three, remainder, isa, registers, inputs));
      ASSERT_NO_FATAL_FAILURE(check_with_temps(VOp::mul_high_u32, 2, {RegClass::vector}, high, isa, registers, inputs));
    }
}

TEST(VectorOps, AccumulatingFma) {
  Inputs inputs;
  for (const Isa isa : runnable_isas())
    for (const bool in_memory : {false, true}) {
      Kernel kernel(isa);
      const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
      const VReg a = kernel.load(kernel.pointer(0)), b = kernel.load(kernel.pointer(1));
      const VReg sum = kernel.load(kernel.pointer(2));
      Instruction i;
      i.op = VOp::fma_acc;
      i.dst = sum;
      i.src = {reg(a), reg(b), {}};
      if (in_memory) {
        i.src[1] = {Operand::Kind::memory, kNoReg, 0};
        i.mem = Kernel::at(kernel.pointer(1));
      }
      kernel.b.append(i);
      kernel.store(sum, kernel.pointer(3));
      kernel.finish();
      for (int round = 0; round < 20; ++round) {
        Lanes x = inputs.next(lanes), y = inputs.next(lanes), z = inputs.next(lanes), got(lanes);
        kernel.run({x.data(), y.data(), z.data(), got.data()});
        const Model model = floats([](float p, float q, float r) { return std::fma(p, q, r); });
        expect_lanes(got, model(x, y, z), VOp::fma_acc, "fma_acc");
      }
    }
}

TEST(VectorOps, CompareAndBlend) {
  const std::pair<Cond, std::function<bool(float, float)>> conditions[] = {
      {Cond::lt, [](float a, float b) { return a < b; }},
      {Cond::le, [](float a, float b) { return a <= b; }},
      {Cond::gt, [](float a, float b) { return a > b; }},
      {Cond::ge, [](float a, float b) { return a >= b; }},
      {Cond::eq, [](float a, float b) { return a == b; }},
      {Cond::ne, [](float a, float b) { return a != b; }},
      {Cond::unord, [](float a, float b) { return std::isnan(a) || std::isnan(b); }},
  };
  Inputs inputs;
  for (const Isa isa : runnable_isas())
    for (const auto& [cond, holds] : conditions)
      for (const bool with_constant : {false, true})
        for (const int onto : {-1, 0, 1, 2}) {
          Kernel kernel(isa);
          const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
          const VReg a = kernel.load(kernel.pointer(0)), b = kernel.load(kernel.pointer(1));
          const VReg yes = kernel.load(kernel.pointer(2)), no = kernel.load(kernel.pointer(3));
          const VReg mask = kernel.b.compare(cond, a, with_constant ? constant(1.0F) : reg(b));
          const VReg result = onto == 1 ? yes : onto == 2 ? no : kernel.b.vector();
          kernel.b.into(result, VOp::blend, {reg(mask), reg(yes), reg(no)});
          kernel.store(result, kernel.pointer(4));
          kernel.finish(onto == 0 ? Registers::tight : Registers::descending);
          for (int round = 0; round < 20; ++round) {
            Lanes x = inputs.next(lanes), y = inputs.next(lanes), got(lanes), expected(lanes);
            if (round % 2 == 0) y = x;
            Lanes t = inputs.next(lanes), f = inputs.next(lanes);
            kernel.run({x.data(), y.data(), t.data(), f.data(), got.data()});
            for (std::size_t n = 0; n < lanes; ++n)
              expected[n] =
                  holds(as_float(x[n]), with_constant ? 1.0F : as_float(y[n])) ? t[n] : f[n];
            expect_lanes(got, expected, VOp::blend, "compare and blend");
          }
        }
}

TEST(VectorOps, ComparisonsOfIntegers) {
  using Words = bool (*)(std::uint32_t, std::uint32_t);
  const std::pair<VOp, Words> comparisons[] = {
      {VOp::equal_i32, [](std::uint32_t a, std::uint32_t b) { return a == b; }},
      {VOp::greater_i32, [](std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a) > static_cast<std::int32_t>(b); }}};
  Inputs inputs;
  for (const Isa isa : runnable_isas())
    for (const auto& [op, holds] : comparisons)
      for (const bool with_constant : {false, true}) {
        constexpr std::uint32_t kConstant = 7;
        Kernel kernel(isa);
        const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
        const VReg a = kernel.load(kernel.pointer(0)), b = kernel.load(kernel.pointer(1));
        const VReg mask = kernel.b.op(op, {reg(a), with_constant ? constant_bits(kConstant) : reg(b)});
        kernel.store(kernel.b.op(VOp::blend, {reg(mask), reg(a), reg(b)}), kernel.pointer(2));
        kernel.finish(Registers::descending);
        for (int round = 0; round < 20; ++round) {
          Lanes x = inputs.next(lanes), y = inputs.next(lanes), got(lanes), expected(lanes);
          if (round % 2 == 0) y = x;
          if (round % 4 == 1) x.front() = kConstant;
          kernel.run({x.data(), y.data(), got.data()});
          for (std::size_t n = 0; n < lanes; ++n) expected[n] = holds(x[n], with_constant ? kConstant : y[n]) ? x[n] : y[n];
          expect_lanes(got, expected, VOp::blend, "compare integers and blend");
        }
      }
}

TEST(VectorOps, MakingVectors) {
  for (const Isa isa : runnable_isas()) {
    Kernel kernel(isa);
    const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
    const VReg out = kernel.pointer(0);
    const auto bytes = kernel.target.vector_bytes;
    kernel.store(kernel.b.op(VOp::constant, {}, 0), out, 0);
    kernel.store(kernel.b.op(VOp::constant, {}, static_cast<std::int32_t>(0xdeadbeef)), out, bytes);
    kernel.store(kernel.b.op(VOp::iota, {}), out, 2 * bytes);
    kernel.store(kernel.b.op(VOp::splat64, {reg(kernel.parameter(0))}), out, 3 * bytes);
    Instruction i;
    i.op = VOp::load_splat;
    i.dst = kernel.b.vector();
    i.mem = Kernel::at(kernel.pointer(1), 4);
    kernel.b.append(i);
    kernel.store(i.dst, out, 4 * bytes);
    kernel.finish();
    Lanes got(5 * lanes, 0x77777777), in{1, 2, 3};
    kernel.run({got.data(), in.data()}, {-0x123456789});
    for (std::size_t n = 0; n < lanes; ++n) {
      EXPECT_EQ(got[n], 0U);
      EXPECT_EQ(got[lanes + n], 0xdeadbeefU);
      EXPECT_EQ(got[2 * lanes + n], n);
      EXPECT_EQ(got[3 * lanes + n], static_cast<std::uint32_t>(-0x123456789));
      EXPECT_EQ(got[4 * lanes + n], 2U);
    }
  }
}

TEST(VectorOps, MasksOfTheFirstLanes) {
  for (const Isa isa : runnable_isas()) {
    Kernel kernel(isa);
    const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
    const VReg mask = kernel.mask_first(kernel.parameter(0));
    const VReg on = kernel.b.constant_vector(1.0F), off = kernel.b.constant_vector(0.0F);
    kernel.store(kernel.b.op(VOp::blend, {reg(mask), reg(on), reg(off)}), kernel.pointer(0));
    kernel.finish();
    for (std::size_t count = 0; count <= lanes; ++count) {
      std::vector<float> got(lanes);
      kernel.run({got.data()}, {static_cast<std::int64_t>(count)});
      for (std::size_t n = 0; n < lanes; ++n) EXPECT_EQ(got[n], n < count ? 1.0F : 0.0F);
    }
  }
}

TEST(VectorOps, WhetherAnyLaneIsOn) {
  for (const Isa isa : runnable_isas()) {
    Kernel kernel(isa);
    const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
    const VReg mask = kernel.b.compare(Cond::le, kernel.load(kernel.pointer(0)), constant(-2.0F));
    kernel.store64(kernel.b.op(VOp::mask_any, {reg(mask)}), kernel.pointer(1));
    kernel.finish();
    for (std::size_t on = 0; on <= lanes; ++on) {
      std::vector<float> in(lanes, -1.0F);
      if (on < lanes) in[on] = -2.0F;
      std::int64_t any = -1;
      kernel.run({in.data(), &any}, {});
      EXPECT_EQ(any != 0, on < lanes) << "lane " << on;
    }
  }
}

/// More values than registers, through spill slots of every class.
TEST(VectorOps, SpillSlots) {
  for (const Isa isa : runnable_isas()) {
    Kernel kernel(isa);
    const auto lanes = static_cast<std::size_t>(kernel.target.lanes());
    const auto spill = [&](VReg r, std::int64_t slot) {
      Instruction i;
      i.op = VOp::spill_store;
      i.src[0] = reg(r);
      i.imm = slot;
      kernel.b.append(i);
    };
    const auto reload = [&](RegClass c, std::int64_t slot) {
      Instruction i;
      i.op = VOp::spill_load;
      i.dst = kernel.b.make(c);
      i.imm = slot;
      return kernel.b.append(i).dst;
    };
    const VReg v = kernel.load(kernel.pointer(0));
    spill(v, 0);
    spill(kernel.parameter(0), 1);
    spill(kernel.mask_first(kernel.parameter(1)), 2);
    const VReg zero = kernel.b.constant_vector(0.0F);
    const VReg mask = reload(RegClass::mask, 2), vector = reload(RegClass::vector, 0);
    kernel.store(kernel.b.op(VOp::blend, {reg(mask), reg(vector), reg(zero)}), kernel.pointer(1));
    kernel.store64(reload(RegClass::general, 1), kernel.pointer(2));
    Instruction ret;
    ret.op = VOp::ret;
    kernel.b.append(ret);
    kernel.allocation = allocate_tightly(kernel.b.program(), kernel.target);
    kernel.allocation.frame_slots = 3;
    kernel.code = assemble(kernel.allocation, kernel.target, "spills");
    std::vector<float> in(lanes, 2.5F), out(lanes);
    std::int64_t number = 0;
    kernel.run({in.data(), out.data(), &number}, {-77, 3});
    EXPECT_EQ(number, -77);
    for (std::size_t n = 0; n < lanes; ++n) EXPECT_EQ(out[n], n < 3 ? 2.5F : 0.0F);
  }
}

TEST(VectorOps, WhatATargetLacksIsAnError) {
  Kernel kernel(Isa::avx2);
  const VReg x = kernel.load(kernel.pointer(0));
  kernel.b.op(VOp::fraction, {reg(x)});
  EXPECT_THROW(kernel.finish(), Error);
}

}  // namespace
}  // namespace burin::codegen::test
