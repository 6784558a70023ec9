// Integers in kernels at the numbers where words, f32 and i64 end: results are those of C++, and of ONNX Runtime on a CPU
// (which gives the lowest number for what a Cast from a float cannot hold).

#include <fmt/format.h>

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

TEST(Integers, DivisionsAreRefused) {
  EXPECT_ERROR(compile(parse_graph("graph @g(%x: i64[N]) {\n %y = div %x, %x\n return %y\n}")), "no kernel for Div of i64");
}

}  // namespace
}  // namespace burin::runtime_test
