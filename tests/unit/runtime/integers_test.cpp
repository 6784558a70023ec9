// Integers in kernels at the numbers where words, f32 and i64 end: results are those of C++, and of ONNX Runtime on a CPU
// (which gives the lowest number for what a Cast from a float cannot hold).

#include <fmt/format.h>

#include "linear/integer_sums.h"
#include "support/integer_division.h"
#include "target/target_info.h"
#include "tests/unit/runtime/runtime_support.h"

namespace burin::runtime_test {
namespace {

std::vector<std::int64_t> numbers() {
  std::vector<std::int64_t> out = {0, 1, -1, INT64_MAX, INT64_MIN};
  for (int power = 1; power < 63; ++power)
    for (const std::int64_t away : {-1, 0, 1})
      for (const int sign : {1, -1}) out.push_back(sign * ((std::int64_t{1} << power) + away));
  // Halfway between two floats, and a little more or less.
  for (int power = 24; power < 62; ++power)
    for (const std::int64_t away : {-1, 0, 1})
      for (const std::int64_t odd : {1, 3})
        for (const int sign : {1, -1}) out.push_back(sign * ((std::int64_t{1} << power) + odd * (std::int64_t{1} << (power - 24)) + away));
  return out;
}

std::vector<float> floats() {
  std::vector<float> out = {0, -0.0F, 0.5F, -0.5F, 1.9F, -1.9F, kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN(), 1e20F, -1e20F, kLowest};
  for (int power = 1; power < 66; ++power)
    for (const float near : {0x1.fffffep-1F, 1.0F, 0x1.000002p0F, 1.5F})
      for (const float sign : {1.0F, -1.0F}) out.push_back(sign * std::ldexp(near, power));
  return out;
}

template <typename To>
To truncated(float x) {
  const auto limit = std::ldexp(1.0F, 8 * sizeof(To) - 1);
  return -limit <= x && x < limit ? static_cast<To>(x) : std::numeric_limits<To>::min();
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> sets;
  for (const Isa isa : {Isa::avx2, Isa::avx512})
    if (isa <= host_target().isa) sets.emplace_back(to_string(isa));
  return sets;
}

std::vector<Tensor> results(const std::string& text, const std::vector<Tensor>& inputs, const std::string& isa) {
  CompileOptions options;
  options.isa = isa;
  options.verify = true;
  const Graph graph = parse_graph(text);
  const CompiledSubgraph kernel = compile(graph, options);
  Invocation invocation = kernel.bind(shapes_of(inputs), {}, 1);
  std::vector<Tensor> outputs;
  std::vector<void*> pointers;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    outputs.push_back(Tensor::zeros(graph.value(graph.outputs[i]).precision, invocation.output_shapes()[i]));
    pointers.push_back(outputs.back().mutable_data());
  }
  invocation.run(pointers_of(inputs), pointers);
  return outputs;
}

TEST(Integers, ToFloatsTheyAreRoundedOnce) {
  const std::vector<std::int64_t> from = numbers();
  const auto count = static_cast<std::int64_t>(from.size());
  const Tensor wide = Tensor::from_i64({count}, from);
  Tensor narrow = Tensor::zeros(Precision::i32, {count});
  for (std::int64_t i = 0; i < count; ++i) narrow.set_int(i, from[static_cast<std::size_t>(i)]);
  for (const std::string& isa : instruction_sets()) {
    const auto y = results(R"(graph @to_f32(%wide: i64[N], %narrow: i32[N]) {
        %a = cast %wide, to="f32"
        %b = cast %narrow, to="f32"
        return %a, %b
      })", {wide, narrow}, isa);
    for (std::int64_t i = 0; i < count; ++i) {
      EXPECT_EQ(y[0].as<float>()[i], static_cast<float>(wide.int_at(i))) << isa << " " << wide.int_at(i);
      EXPECT_EQ(y[1].as<float>()[i], static_cast<float>(narrow.int_at(i))) << isa << " " << narrow.int_at(i);
    }
  }
}

TEST(Integers, FromFloatsTheyAreTruncated) {
  const std::vector<float> from = floats();
  const auto count = static_cast<std::int64_t>(from.size());
  for (const std::string& isa : instruction_sets()) {
    const auto y = results(R"(graph @from_f32(%x: f32[N]) {
        %wide = cast %x, to="i64"
        %narrow = cast %x, to="i32"
        return %wide, %narrow
      })", {Tensor::from_f32({count}, from)}, isa);
    for (std::int64_t i = 0; i < count; ++i) {
      const float x = from[static_cast<std::size_t>(i)];
      EXPECT_EQ(y[0].int_at(i), truncated<std::int64_t>(x)) << isa << " " << x;
      EXPECT_EQ(y[1].int_at(i), truncated<std::int32_t>(x)) << isa << " " << x;
    }
  }
}

/// Of each number with each.
TEST(Integers, ArithmeticWraps) {
  const std::vector<std::int64_t> all = numbers();
  const auto count = static_cast<std::int64_t>(all.size());
  for (const std::string& isa : instruction_sets()) {
    const auto y = results(R"(graph @arithmetic(%column: i64[N,1], %row: i64[N]) {
        %sum = add %column, %row
        %difference = sub %column, %row
        %product = mul %column, %row
        %less = less %column, %row
        %equal = equal %column, %row
        return %sum, %difference, %product, %less, %equal
      })", {Tensor::from_i64({count, 1}, all), Tensor::from_i64({count}, all)}, isa);
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < count * count; ++i) {
      const std::int64_t a = all[static_cast<std::size_t>(i / count)], b = all[static_cast<std::size_t>(i % count)];
      const auto x = static_cast<std::uint64_t>(a), z = static_cast<std::uint64_t>(b);
      const bool right = y[0].int_at(i) == static_cast<std::int64_t>(x + z) && y[1].int_at(i) == static_cast<std::int64_t>(x - z) &&
                         y[2].int_at(i) == static_cast<std::int64_t>(x * z) && y[3].int_at(i) == (a < b ? 1 : 0) && y[4].int_at(i) == (a == b ? 1 : 0);
      if (!right && ++wrong < 5) ADD_FAILURE() << isa << " " << a << " and " << b;
    }
    EXPECT_EQ(wrong, 0);
  }
}

/// An integer that is known of a shape is no f32 on its way to words, so it may be larger than f32 holds.
TEST(Integers, OfShapesAreWholeWords) {
  constexpr std::int64_t kLarge = (std::int64_t{1} << 40) + 1;
  const std::vector<std::int64_t> x = {7, -7, kLarge};
  for (const std::string& isa : instruction_sets()) {
    const auto y = results(R"(graph @known(%x: i64[N]) {
        %large = known i64[] {1099511627777*N}
        %negative = known i64[] {-N}
        %a = add %x, %large
        %b = add %x, %negative
        return %a, %b
      })", {Tensor::from_i64({3}, x)}, isa);
    for (std::int64_t i = 0; i < 3; ++i) {
      EXPECT_EQ(y[0].int_at(i), x[static_cast<std::size_t>(i)] + 3 * kLarge) << isa;
      EXPECT_EQ(y[1].int_at(i), x[static_cast<std::size_t>(i)] - 3) << isa;
    }
  }
}

/// Bounds of their integers are each computed once, and without recursion.
TEST(Integers, LongChainsAreCompiled) {
  constexpr int kLength = 3000;
  std::string text = "graph @chain(%x: f32[N]) {\n %n = known i64[] {N}\n %zero = const i64[] {0}\n %one = const i64[] {1}\n"
                     " %v0 = range %zero, %n, %one\n";
  for (int i = 0; i < kLength; ++i) text += fmt::format(" %v{} = {} %v{}, %v0\n", i + 1, i % 2 == 0 ? "add" : "sub", i);
  text += fmt::format(" %f = cast %v{}, to=\"f32\"\n %y = add %x, %f\n return %y\n}}", kLength);
  const auto y = results(text, {Tensor::from_f32({3}, {0.5F, 0.5F, 0.5F})}, instruction_sets().back());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(y[0].as<float>()[i], 0.5F + static_cast<float>(i));
}

template <typename T>
bool divides_as_defined(const std::vector<Tensor>& y, std::int64_t i, std::int64_t a, std::int64_t b) {
  const T x = static_cast<T>(a), z = static_cast<T>(b);
  return y[0].int_at(i) == quotient_of(x, z) && y[1].int_at(i) == modulo_of(x, z) && y[2].int_at(i) == remainder_of(x, z);
}

/// Of each number with each, 0 among them.
template <typename T>
void expect_divisions(Precision precision) {
  const std::vector<std::int64_t> all = numbers();
  const auto count = static_cast<std::int64_t>(all.size());
  Tensor column = Tensor::zeros(precision, {count, 1}), row = Tensor::zeros(precision, {count});
  for (std::int64_t i = 0; i < count; ++i) column.set_int(i, all[static_cast<std::size_t>(i)]), row.set_int(i, all[static_cast<std::size_t>(i)]);
  const std::string type(to_string(precision));
  for (const std::string& isa : instruction_sets()) {
    const auto y = results(fmt::format(R"(graph @division(%column: {}[N,1], %row: {}[N]) {{
        %quotient = div %column, %row
        %modulo = mod %column, %row
        %remainder = mod %column, %row, fmod=1
        return %quotient, %modulo, %remainder
      }})", type, type), {column, row}, isa);
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < count * count; ++i) {
      const std::int64_t a = all[static_cast<std::size_t>(i / count)], b = all[static_cast<std::size_t>(i % count)];
      if (!divides_as_defined<T>(y, i, a, b) && ++wrong < 5) ADD_FAILURE() << isa << " " << type << " " << a << " and " << b;
    }
    EXPECT_EQ(wrong, 0);
  }
}

TEST(Integers, DivisionsOfI32) { expect_divisions<std::int32_t>(Precision::i32); }
TEST(Integers, DivisionsOfI64) { expect_divisions<std::int64_t>(Precision::i64); }

/// A little more or less than whole quotients, which are too large for doubles: there estimates are off by one.
TEST(Integers, DivisionsThatLeaveLittle) {
  std::vector<std::int64_t> a, b;
  for (std::int64_t divisor = 3; divisor < 400; ++divisor)
    for (const std::int64_t quotient : {(std::int64_t{1} << 53) - 1, (std::int64_t{1} << 53) + 111, (std::int64_t{1} << 54) / divisor})
      for (const std::int64_t away : {-1, 0, 1})
        for (const int sign : {1, -1}) a.push_back(sign * (quotient * divisor + away)), b.push_back(divisor);
  const auto count = static_cast<std::int64_t>(a.size());
  for (const std::string& isa : instruction_sets()) {
    const auto y = results("graph @g(%a: i64[N], %b: i64[N]) {\n %q = div %a, %b\n return %q\n}", {Tensor::from_i64({count}, a), Tensor::from_i64({count}, b)}, isa);
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(y[0].int_at(static_cast<std::int64_t>(i)), quotient_of(a[i], b[i])) << isa << " " << a[i] << " by " << b[i];
  }
}

/// Code for a divisor that is known is shorter.
TEST(Integers, DivisionsByConstants) {
  const std::vector<std::int64_t> all = numbers();
  const auto count = static_cast<std::int64_t>(all.size());
  for (const std::string& isa : instruction_sets())
    for (const std::int64_t divisor : {1L, -1L, 2L, -2L, 7L, -7L, 64L, 1L << 33, 0L}) {
      const auto y = results(fmt::format(R"(graph @division(%x: i64[N]) {{
          %by = const i64[] {{{}}}
          %quotient = div %x, %by
          %modulo = mod %x, %by
          %remainder = mod %x, %by, fmod=1
          return %quotient, %modulo, %remainder
        }})", divisor), {Tensor::from_i64({count}, all)}, isa);
      for (std::int64_t i = 0; i < count; ++i)
        EXPECT_TRUE(divides_as_defined<std::int64_t>(y, i, all[static_cast<std::size_t>(i)], divisor)) << isa << " " << all[static_cast<std::size_t>(i)] << " by " << divisor;
    }
}

TEST(Integers, OfPositionsAreDividedAsWords) {
  for (const std::string& isa : instruction_sets()) {
    const auto y = results(R"(graph @positions(%x: i64[N]) {
        %n = known i64[] {N}
        %zero = const i64[] {0}
        %one = const i64[] {1}
        %three = const i64[] {3}
        %i = range %zero, %n, %one
        %row = div %i, %three
        %column = mod %i, %three
        %a = add %x, %row
        %b = add %x, %column
        return %a, %b
      })", {Tensor::from_i64({40}, std::vector<std::int64_t>(40, 100))}, isa);
    for (std::int64_t i = 0; i < 40; ++i) {
      EXPECT_EQ(y[0].int_at(i), 100 + i / 3) << isa;
      EXPECT_EQ(y[1].int_at(i), 100 + i % 3) << isa;
    }
  }
}

TEST(Integers, SignsAndPowers) {
  const std::vector<std::int64_t> all = numbers();
  const auto count = static_cast<std::int64_t>(all.size());
  for (const std::string& isa : instruction_sets())
    for (const Precision precision : {Precision::i32, Precision::i64}) {
      Tensor x = Tensor::zeros(precision, {count});
      for (std::int64_t i = 0; i < count; ++i) x.set_int(i, all[static_cast<std::size_t>(i)]);
      const std::string type(to_string(precision));
      const auto y = results(fmt::format(R"(graph @unary(%x: {0}[N]) {{
          %none = const i64[] {{0}}
          %five = const i64[] {{5}}
          %slope = const {0}[] {{3}}
          %sign = sign %x
          %relu = relu %x
          %sloped = prelu %x, %slope
          %fifth = pow %x, %five
          %zeroth = pow %x, %none
          %one = add %zeroth, %sign
          return %sign, %relu, %sloped, %fifth, %one
        }})", type), {x}, isa);
      const auto narrow = [&](std::uint64_t n) { return precision == Precision::i32 ? std::int64_t{static_cast<std::int32_t>(n)} : static_cast<std::int64_t>(n); };
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t a = x.int_at(i), sign = a > 0 ? 1 : a < 0 ? -1 : 0;
        const auto u = static_cast<std::uint64_t>(a);
        EXPECT_EQ(y[0].int_at(i), sign) << isa << " " << a;
        EXPECT_EQ(y[1].int_at(i), std::max<std::int64_t>(a, 0)) << isa << " " << a;
        EXPECT_EQ(y[2].int_at(i), a < 0 ? narrow(3 * u) : a) << isa << " " << a;
        EXPECT_EQ(y[3].int_at(i), narrow(u * u * u * u * u)) << isa << " " << a;
        EXPECT_EQ(y[4].int_at(i), 1 + sign) << isa << " " << a;
      }
    }
}

/// What ends beside a number of words: rows that carry, rows of extremes that only the lower word tells apart.
std::vector<std::int64_t> row_of(std::int64_t columns, std::int64_t kind) {
  std::vector<std::int64_t> row;
  for (std::int64_t i = 0; i < columns; ++i) {
    const std::int64_t near = i * 7 % 5 - 2;
    row.push_back(kind == 0 ? 0xFFFFFFFF - i : kind == 1 ? (std::int64_t{-3} << 32) + 0x7FFFFFFE + near : kind == 2 ? INT64_MAX - i : kind == 3 ? near : INT64_MIN + i);
  }
  return row;
}

template <typename T>
void expect_reductions(Precision precision) {
  constexpr std::int64_t kRows = 5;
  const std::string type(to_string(precision));
  for (const std::string& isa : instruction_sets())
    for (const std::int64_t columns : {1, 7, 16, 33, 100}) {
      Tensor x = Tensor::zeros(precision, {kRows, columns});
      for (std::int64_t r = 0; r < kRows; ++r)
        for (std::int64_t c = 0; c < columns; ++c) x.set_int(r * columns + c, row_of(columns, r)[static_cast<std::size_t>(c)]);
      for (const int axis : {0, 1}) {
        const auto y = results(fmt::format(R"(graph @reductions(%x: {0}[N,M]) {{
            %sum = reduce_sum %x, axes=[{1}], keepdims=1
            %mean = reduce_mean %x, axes=[{1}], keepdims=1
            %most = reduce_max %x, axes=[{1}], keepdims=1
            %least = reduce_min %x, axes=[{1}], keepdims=1
            %all = reduce_sum %x, axes=[0,1], keepdims=1
            return %sum, %mean, %most, %least, %all
          }})", type, axis), {x}, isa);
        std::uint64_t all = 0;
        for (std::int64_t i = 0; i < (axis == 0 ? columns : kRows); ++i) {
          const std::int64_t count = axis == 0 ? kRows : columns;
          std::uint64_t sum = 0;
          std::int64_t most = INT64_MIN, least = INT64_MAX;
          for (std::int64_t k = 0; k < count; ++k) {
            const std::int64_t element = x.int_at(axis == 0 ? k * columns + i : i * columns + k);
            sum += static_cast<std::uint64_t>(element);
            most = std::max(most, element), least = std::min(least, element);
          }
          all += sum;
          EXPECT_EQ(y[0].int_at(i), static_cast<T>(sum)) << isa << " " << type << " " << columns << " axis " << axis << " at " << i;
          EXPECT_EQ(y[1].int_at(i), static_cast<T>(static_cast<std::int64_t>(sum) / count)) << isa << " " << type << " " << columns << " axis " << axis << " at " << i;
          EXPECT_EQ(y[2].int_at(i), most) << isa << " " << type << " " << columns << " axis " << axis << " at " << i;
          EXPECT_EQ(y[3].int_at(i), least) << isa << " " << type << " " << columns << " axis " << axis << " at " << i;
        }
        EXPECT_EQ(y[4].int_at(0), static_cast<T>(all)) << isa << " " << type;
      }
    }
}

TEST(Integers, ReductionsOfI32) { expect_reductions<std::int32_t>(Precision::i32); }
TEST(Integers, ReductionsOfI64) { expect_reductions<std::int64_t>(Precision::i64); }

TEST(Integers, ReductionsOfNothingAndOfOne) {
  for (const std::string& isa : instruction_sets())
    for (const std::int64_t columns : {0, 1}) {
      const auto y = results(R"(graph @reductions(%x: i64[2,M], %one: i64[2,1]) {
          %sum = reduce_sum %x, axes=[1], keepdims=1
          %mean = reduce_mean %x, axes=[1], keepdims=1
          %most = reduce_max %x, axes=[1], keepdims=1
          %least = reduce_min %x, axes=[1], keepdims=1
          %same = reduce_max %one, axes=[1], keepdims=1
          return %sum, %mean, %most, %least, %same
        })", {Tensor::from_i64({2, columns}, std::vector<std::int64_t>(static_cast<std::size_t>(2 * columns), 5)), Tensor::from_i64({2, 1}, {INT64_MIN, 3})}, isa);
      EXPECT_EQ(y[0].int_at(1), columns == 0 ? 0 : 5) << isa;
      EXPECT_EQ(y[1].int_at(1), columns == 0 ? 0 : 5) << isa;
      EXPECT_EQ(y[2].int_at(1), columns == 0 ? INT64_MIN : 5) << isa;
      EXPECT_EQ(y[3].int_at(1), columns == 0 ? INT64_MAX : 5) << isa;
      EXPECT_EQ(y[4].int_at(0), INT64_MIN) << isa;
      EXPECT_EQ(y[4].int_at(1), 3) << isa;
    }
}

TEST(Integers, OfNothingIsWhatTheInterpreterSays) {
  for (const std::string type : {"i32", "i64"}) {
    const std::string text = fmt::format(R"(graph @reductions(%x: {}[2,M]) {{
        %sum = reduce_sum %x, axes=[1], keepdims=1
        %mean = reduce_mean %x, axes=[1], keepdims=1
        %most = reduce_max %x, axes=[1], keepdims=1
        %least = reduce_min %x, axes=[1], keepdims=1
        return %sum, %mean, %most, %least
      }})", type);
    const std::vector<Tensor> inputs = {Tensor::zeros(type == "i32" ? Precision::i32 : Precision::i64, {2, 0})};
    const auto expected = interpret(parse_graph(text), inputs);
    for (const std::string& isa : instruction_sets()) {
      const auto y = results(text, inputs, isa);
      for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i].int_at(1), expected[i].int_at(1)) << isa << " " << type << " " << i;
    }
  }
}

/// More than kernels sum: they are not refused.
TEST(Integers, LongSums) {
  const Graph graph = parse_graph(R"(graph @long(%x: i64[N,M]) {
      %sum = reduce_sum %x, axes=[0,1], keepdims=0
      return %sum
    })");
  constexpr std::int64_t kElement = -3, kFarTooMany = linear::kMostSummed + (std::int64_t{1} << 17);  // of bytes that are 255, sums overflow
  Invocation invocation = compile(graph).invocation();
  for (const std::int64_t length : {linear::kMostSummed, kFarTooMany, std::int64_t{2}}) {
    invocation.rebind(std::vector<TensorDesc>{{{length, 1}, {0, 1}}});  // the same element again and again
    std::int64_t sum = 0;
    invocation.run(std::vector<const void*>{&kElement}, std::vector<void*>{&sum});
    EXPECT_EQ(sum, kElement * length);
  }
  EXPECT_ERROR(compile(parse_graph("graph @g(%x: i64[16777217]) {\n %y = reduce_sum %x, axes=[0], keepdims=1\n return %y\n}")), "a sum of 16777217 integers");
}

TEST(Integers, ProductsOfI32WrapAndThoseOfI64AreRefused) {
  for (const std::string& isa : instruction_sets()) {
    Tensor x = Tensor::zeros(Precision::i32, {2, 40});
    for (std::int64_t i = 0; i < x.size(); ++i) x.set_int(i, i < 40 ? 3 : i % 2 == 0 ? -1 : 1);
    const auto y = results("graph @g(%x: i32[N,M]) {\n %y = reduce_prod %x, axes=[1], keepdims=1\n return %y\n}", {x}, isa);
    std::uint32_t power = 1;
    for (int i = 0; i < 40; ++i) power *= 3;
    EXPECT_EQ(y[0].int_at(0), static_cast<std::int32_t>(power)) << isa;
    EXPECT_EQ(y[0].int_at(1), 1) << isa;
  }
  EXPECT_ERROR(compile(parse_graph("graph @g(%x: i64[N,M]) {\n %y = reduce_prod %x, axes=[1], keepdims=1\n return %y\n}")), "no kernel for ReduceProd of i64");
}

TEST(Integers, AreExponentsOfFloats) {
  for (const std::string& isa : instruction_sets()) {
    const auto y = results(R"(graph @powers(%x: f32[N], %n: i64[N]) {
        %three = const i64[] {3}
        %a = pow %x, %three
        %b = pow %x, %n
        return %a, %b
      })", {Tensor::from_f32({3}, {2, -3, 0.5F}), Tensor::from_i64({3}, {-1, 3, 4})}, isa);
    const std::vector<float> cubes = {8, -27, 0.125F}, powers = {0.5F, -27, 0.0625F};
    for (std::size_t i = 0; i < cubes.size(); ++i) {
      EXPECT_FLOAT_EQ(y[0].as<float>()[i], cubes[i]) << isa;
      EXPECT_FLOAT_EQ(y[1].as<float>()[i], powers[i]) << isa;
    }
  }
}

TEST(Integers, PowersWithUnknownExponentsAreRefused) {
  EXPECT_ERROR(compile(parse_graph("graph @g(%x: i64[N]) {\n %n = const f32[] {0.5}\n %y = pow %x, %n\n return %y\n}")), "whose exponent is not known");
  EXPECT_ERROR(compile(parse_graph("graph @g(%x: f32[N], %z: f32[N]) {\n %y = mod %x, %z\n return %y\n}")), "Mod of floats without fmod");
  EXPECT_ERROR(compile(parse_graph("graph @g(%x: i64[N], %n: i64[N]) {\n %y = pow %x, %n\n return %y\n}")), "whose exponent is not known");
}

}  // namespace
}  // namespace burin::runtime_test
