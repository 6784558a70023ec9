#include "benchmarks/support/elementwise_groups.h"

#include <fmt/format.h>

namespace burin::bench {

const std::vector<ElementwiseGroup>& elementwise_groups() {
  static const std::vector<ElementwiseGroup> groups = {
      {"rope",
       R"(graph @rope(%x: f32[B,S,H,64], %cos: f32[S,1,64], %sin: f32[S,1,64]) {
         %begin = const i64[1] {0}
         %middle = const i64[1] {32}
         %end = const i64[1] {64}
         %axis = const i64[1] {3}
         %low = slice %x, %begin, %middle, %axis
         %high = slice %x, %middle, %end, %axis
         %minus = neg %high
         %rotated = concat %minus, %low, axis=3
         %a = mul %x, %cos
         %b = mul %rotated, %sin
         %y = add %a, %b
         return %y
       })",
       {{{"B", 1}, {"S", 64}, {"H", 12}}, {{"B", 8}, {"S", 1024}, {"H", 16}}}},
      {"rope_interleaved",
       R"(graph @rope_interleaved(%x: f32[B,S,H,64], %cos: f32[S,1,32], %sin: f32[S,1,32]) {
         %zero = const i64[1] {0}
         %one = const i64[1] {1}
         %end = const i64[1] {64}
         %axis = const i64[1] {3}
         %two = const i64[1] {2}
         %even = slice %x, %zero, %end, %axis, %two
         %odd = slice %x, %one, %end, %axis, %two
         %a = mul %even, %cos
         %b = mul %odd, %sin
         %c = mul %even, %sin
         %d = mul %odd, %cos
         %first = sub %a, %b
         %second = add %c, %d
         %f = unsqueeze %first, axes=[4]
         %s = unsqueeze %second, axes=[4]
         %pairs = concat %f, %s, axis=4
         %shape = shape %x
         %y = reshape %pairs, %shape
         return %y
       })",
       {{{"B", 1}, {"S", 64}, {"H", 12}}, {{"B", 8}, {"S", 1024}, {"H", 16}}}},
      {"swiglu_split",
       R"(graph @swiglu_split(%x: f32[M,3072]) {
         %gate, %value = split %x, axis=1
         %s = sigmoid %gate
         %silu = mul %gate, %s
         %y = mul %silu, %value
         return %y
       })",
       {{{"M", 16}}, {{"M", 4096}}}},
      {"geglu_split",
       R"(graph @geglu_split(%x: f32[M,3072]) {
         %value, %gate = split %x, axis=1
         %g = gelu %gate
         %y = mul %value, %g
         return %y
       })",
       {{{"M", 16}}, {{"M", 4096}}}},
      {"group_norm",
       R"(graph @group_norm(%x: f32[B,320,H,W], %scale: f32[320], %bias: f32[320]) {
         %n = group_norm %x, %scale, %bias, num_groups=32, epsilon=1e-5
         %s = sigmoid %n
         %y = mul %n, %s
         return %y
       })",
       {{{"B", 1}, {"H", 8}, {"W", 8}}, {{"B", 4}, {"H", 64}, {"W", 64}}}},
      {"layer_norm_residual",
       R"(graph @layer_norm_residual(%x: f32[M,768], %r: f32[M,768], %scale: f32[768], %bias: f32[768]) {
         %sum = add %x, %r
         %n = layer_norm %sum, %scale, %bias, axis=1, epsilon=1e-5
         return %sum, %n
       })",
       {{{"M", 32}}, {{"M", 6144}}}},
      {"softmax_middle",
       R"(graph @softmax_middle(%x: f32[B,S,D], %y: f32[B,S,D]) {
         %a = add %x, %y
         %p = softmax %a, axis=1
         return %p
       })",
       {{{"B", 1}, {"S", 64}, {"D", 512}}, {{"B", 16}, {"S", 512}, {"D", 768}}}},
      {"mean_middle",
       R"(graph @mean_middle(%x: f32[B,S,D], %m: f32[B,S,1]) {
         %a = mul %x, %m
         %p = reduce_mean %a, axes=[1], keepdims=1
         return %p
       })",
       {{{"B", 1}, {"S", 128}, {"D", 768}}, {{"B", 32}, {"S", 512}, {"D", 768}}}},
      {"channel_norm",
       R"(graph @channel_norm(%x: f32[B,C,H,W], %scale: f32[C,1,1], %bias: f32[C,1,1]) {
         %m = reduce_mean %x, axes=[1], keepdims=1
         %d = sub %x, %m
         %q = mul %d, %d
         %v = reduce_mean %q, axes=[1], keepdims=1
         %e = add %v, 1e-6
         %r = sqrt %e
         %n = div %d, %r
         %s = mul %n, %scale
         %y = add %s, %bias
         return %y
       })",
       {{{"B", 1}, {"C", 96}, {"H", 16}, {"W", 16}}, {{"B", 8}, {"C", 192}, {"H", 64}, {"W", 64}}}},
      {"broadcast_at_call",
       R"(graph @broadcast_at_call(%x: f32[M,N], %y: f32[M,P], %z: f32[M,P]) {
         %a = mul %x, %y
         %b = add %a, %z
         %c = relu %b
         return %c
       })",
       {{{"M", 64}, {"N", 768}, {"P", 1}}, {{"M", 64}, {"N", 768}, {"P", 768}}, {{"M", 4096}, {"N", 3072}, {"P", 1}}, {{"M", 2048}, {"N", 3072}, {"P", 3072}}}},
      {"transposed",
       R"(graph @transposed(%x: f32[B,N,M], %y: f32[B,M,N]) {
         %t = transpose %x, perm=[0,2,1]
         %a = add %t, %y
         %r = relu %a
         return %r
       })",
       {{{"B", 1}, {"M", 196}, {"N", 256}}, {{"B", 8}, {"M", 4096}, {"N", 192}}, {{"B", 8}, {"M", 1024}, {"N", 1024}}, {{"B", 32}, {"M", 196}, {"N", 768}}}},
      {"rows",
       R"(graph @rows(%x: f32[M,N], %y: f32[M,N], %b: f32[N]) {
         %a = add %x, %y
         %m = mul %a, %b
         %r = relu %m
         return %r
       })",
       {{{"M", 4096}, {"N", 3}}, {{"M", 1024}, {"N", 16}}, {{"M", 256}, {"N", 100}}, {{"M", 8}, {"N", 4096}},
        {{"M", 2097152}, {"N", 3}}, {{"M", 393216}, {"N", 16}}, {{"M", 65536}, {"N", 100}}, {{"M", 1536}, {"N", 4096}}}},
      {"rows_softmax",
       R"(graph @rows_softmax(%x: f32[M,N], %y: f32[M,N]) {
         %a = add %x, %y
         %p = softmax %a, axis=1
         return %p
       })",
       {{{"M", 4096}, {"N", 3}}, {{"M", 1024}, {"N", 16}}, {{"M", 256}, {"N", 100}}, {{"M", 8}, {"N", 4096}},
        {{"M", 2097152}, {"N", 3}}, {{"M", 393216}, {"N", 16}}, {{"M", 65536}, {"N", 100}}, {{"M", 1536}, {"N", 4096}}}},
  };
  return groups;
}

std::string to_string(const std::map<std::string, std::int64_t>& symbols) {
  std::string text;
  for (const auto& [name, value] : symbols) text += fmt::format("{}{}{}", text.empty() ? "" : "_", name, value);
  return text;
}

std::int64_t bytes_of(const Graph& body, const std::map<std::string, std::int64_t>& symbols) {
  std::int64_t bytes = 0;
  for (const auto* values : {&body.inputs, &body.outputs})
    for (const ValueId v : *values) {
      auto elements = static_cast<std::int64_t>(size_of(body.value(v).precision));
      for (const Expr& e : body.value(v).shape) elements *= e.evaluate(symbols);
      bytes += elements;
    }
  return bytes;
}

Graph addition() {
  return parse_graph("graph @add(%a: f32[N], %b: f32[N]) { %c = add %a, %b  return %c }");
}

}  // namespace burin::bench
