#include "plugins/onnxruntime/claims.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "burin/compile.h"
#include "burin/error.h"
#include "plugins/onnxruntime/call_shapes.h"
#include "tests/unit/onnxruntime/model_writer.h"

namespace burin::ort {
namespace {

using frontend::OnnxDim;
using test::ModelWriter;
using Names = std::set<std::string>;

std::vector<OnnxDim> dims(const char* rows, const char* columns) {
  return {std::string("B"), std::int64_t{2}, std::string(rows), std::string(columns)};
}
std::vector<OnnxDim> heads(const char* rows) {
  return {std::string("B"), std::int64_t{2}, std::string(rows), std::int64_t{16}};
}

ModelWriter with_qkv() {
  ModelWriter w;
  w.input("q", heads("S"))
      .input("k", {std::string("B"), std::int64_t{2}, std::int64_t{16}, std::string("T")})
      .input("v", heads("T"));
  return w;
}

Claims claims_of(const ModelWriter& w) { return find_claims(w.model, w.types); }

Names nodes_of(const ModelWriter& w, const Claim& claim) {
  Names names;
  for (const std::size_t i : claim.nodes) names.insert(w.model.nodes[i].name);
  return names;
}

Names sources_of(const Claim& claim) {
  Names names;
  for (const PartSource& source : claim.part.sources) names.insert(source.name);
  return names;
}

/// What a claim reads at call time.
Names read_by(const Claim& claim) {
  const CallShapes shapes(claim.part, compile(*claim.part.body));
  Names names;
  for (const std::size_t i : shapes.sources()) names.insert(claim.part.sources[i].name);
  return names;
}

std::string reasons(const Claims& claims) {
  std::string words;
  for (const Rejection& r : claims.left) words += r.nodes.empty() ? r.reason : r.nodes.front() + ": " + r.reason + "\n";
  return words;
}

TEST(Claims, AnAttentionIsOneKernel) {
  ModelWriter w = with_qkv();
  w.attention("q", "k", "v", "o").output("o");
  const Claims claims = claims_of(w);
  ASSERT_EQ(claims.claims.size(), 1U) << reasons(claims);
  EXPECT_EQ(claims.claims[0].part.kind, "sdpa");
  EXPECT_EQ(nodes_of(w, claims.claims[0]), (Names{"o.scores", "o.p", "o"}));
  EXPECT_EQ(claims.claims[0].part.results[0].name, "o");
}

TEST(Claims, WhatNobodyKnowsStandsBetweenTwoParts) {
  ModelWriter w = with_qkv();
  w.attention("q", "k", "v", "a")
      .unknown({"a"}, {"u", Precision::f32, heads("S")})
      .attention("u", "k", "v", "o")
      .output("o");
  const Claims claims = claims_of(w);
  ASSERT_EQ(claims.claims.size(), 2U) << reasons(claims);
  EXPECT_EQ(sources_of(claims.claims[1]), (Names{"u", "k", "v"}));
  ASSERT_FALSE(claims.left.empty());
  EXPECT_EQ(claims.left[0].nodes, std::vector<std::string>{"u"});
}

TEST(Claims, ReadersOfAResultOfUnknownTypeAreLeft) {
  ModelWriter w = with_qkv();
  w.unknown({"q"}, {"u", Precision::f32, heads("S")});
  w.types.clear();
  w.attention("u", "k", "v", "o").attention("q", "k", "v", "other").output("o").output("other");
  const Claims claims = claims_of(w);
  ASSERT_EQ(claims.claims.size(), 1U) << reasons(claims);
  EXPECT_EQ(claims.claims[0].part.results[0].name, "other");
}

TEST(Claims, WhatAnUnknownNodeReadsIsAResult) {
  ModelWriter w = with_qkv();
  w.attention("q", "k", "v", "o").unknown({"o.p"}, {"u", Precision::f32, dims("S", "T")}).output("o").output("u");
  const Claims claims = claims_of(w);
  ASSERT_EQ(claims.claims.size(), 1U) << reasons(claims);
  Names results;
  for (const PartResult& r : claims.claims[0].part.results) results.insert(r.name);
  EXPECT_EQ(results, (Names{"o", "o.p"}));
}

// What is expanded for all queries is read once for all of them.
TEST(Claims, AMaskThatRepeatsIsReadOnce) {
  ModelWriter w = with_qkv();
  w.input("row", {std::string("B"), std::int64_t{1}, std::int64_t{1}, std::string("T")});
  w.node("Shape", {"q"}, {"shape"})
      .constant("two", Tensor::from_i64({1}, {2}))
      .constant("three", Tensor::from_i64({1}, {3}))
      .constant("one", Tensor::from_i64({1}, {1}))
      .node("Slice", {"shape", "two", "three"}, {"rows"})
      .node("Concat", {"one", "one", "rows", "one"}, {"extents"}, {{"axis", std::int64_t{0}}})
      .node("Expand", {"row", "extents"}, {"wide"})
      .constant("large", Tensor::scalar(Precision::f32, -1e4))
      .node("Mul", {"wide", "large"}, {"mask"})
      .unknown({"mask"}, {"u", Precision::f32, {std::string("B")}})  // the mask itself is needed
      .attention("q", "k", "v", "o", "mask")
      .output("o")
      .output("u");
  const Claims claims = claims_of(w);
  const auto attention =
      std::find_if(claims.claims.begin(), claims.claims.end(), [](const Claim& c) { return c.part.kind == "sdpa"; });
  ASSERT_NE(attention, claims.claims.end()) << reasons(claims);
  const auto& sources = attention->part.sources;
  const auto mask = std::find_if(sources.begin(), sources.end(), [](const PartSource& s) { return s.name == "mask"; });
  ASSERT_NE(mask, sources.end());
  EXPECT_EQ(mask->repeated, (std::vector<bool>{false, false, true, false}));
  EXPECT_EQ(mask->shape[2], Expr(1));
}

// A causal mask that two attentions share cannot be part of either, but each computes it for itself.
TEST(Claims, AMaskOfPositionsIsComputedInside) {
  ModelWriter w = with_qkv();
  w.node("Shape", {"q"}, {"shape"})
      .constant("two", Tensor::from_i64({}, {2}))
      .constant("three", Tensor::from_i64({}, {3}))
      .node("Gather", {"shape", "two"}, {"rows"})
      .node("Shape", {"k"}, {"shape_k"})
      .node("Gather", {"shape_k", "three"}, {"keys"})
      .constant("zero", Tensor::from_i64({}, {0}))
      .constant("one", Tensor::from_i64({}, {1}))
      .node("Range", {"zero", "rows", "one"}, {"i"})
      .node("Range", {"zero", "keys", "one"}, {"j"})
      .constant("axis", Tensor::from_i64({1}, {1}))
      .node("Unsqueeze", {"i", "axis"}, {"i_column"})
      .node("LessOrEqual", {"j", "i_column"}, {"visible"})
      .constant("shown", Tensor::scalar(Precision::f32, 0))
      .constant("hidden", Tensor::scalar(Precision::f32, -INFINITY))
      .node("Where", {"visible", "shown", "hidden"}, {"mask"})
      .attention("q", "k", "v", "a", "mask")
      .attention("a", "k", "v", "o", "mask")
      .output("o");
  const Claims claims = claims_of(w);
  ASSERT_EQ(claims.claims.size(), 2U) << reasons(claims);
  for (const Claim& claim : claims.claims) {
    EXPECT_FALSE(nodes_of(w, claim).contains("mask"));
    EXPECT_FALSE(read_by(claim).contains("mask"));
  }
}

// Extents that follow from nothing that a part reads: the part knows them as numbers of their own.
TEST(Claims, AnExtentThatIsASumOfOthersIsOne) {
  ModelWriter w;
  w.input("q", heads("S"))
      .input("new_k", heads("S"))
      .input("old_k", heads("P"))
      .node("Concat", {"old_k", "new_k"}, {"keys"}, {{"axis", std::int64_t{2}}})
      .unknown({"q"}, {"late", Precision::f32, heads("S")})
      .node("Transpose", {"keys"}, {"kt"}, {{"perm", std::vector<std::int64_t>{0, 1, 3, 2}}})
      .attention("late", "kt", "keys", "o")
      .output("o");
  const Claims claims = claims_of(w);
  ASSERT_EQ(claims.claims.size(), 1U) << reasons(claims);
  EXPECT_EQ(read_by(claims.claims[0]), (Names{"late", "keys"}));
}

// The batch that a Reshape inside of an attention divides rows into: nothing else tells it.
TEST(Claims, AListOfDimensionsTellsThem) {
  ModelWriter w;
  const std::vector<OnnxDim> rows = {std::string("N"), std::string("S"), std::int64_t{16}};
  w.input("ids", {std::string("B"), std::string("S")}, Precision::i64)
      .input("q", rows)
      .input("k", {std::string("N"), std::int64_t{16}, std::string("S")})
      .input("v", rows)
      .node("Shape", {"ids"}, {"b_s"})
      .constant("first", Tensor::from_i64({1}, {0}))
      .constant("second", Tensor::from_i64({1}, {1}))
      .constant("heads", Tensor::from_i64({1}, {4}))
      .constant("rest", Tensor::from_i64({1}, {-1}))
      .constant("slopes", Tensor::from_f32({4, 1, 1}, {1, 2, 3, 4}))
      .node("Gather", {"b_s", "first"}, {"b"})
      .node("Gather", {"b_s", "second"}, {"s"})
      .node("Concat", {"b", "heads", "s", "s"}, {"by_head"}, {{"axis", std::int64_t{0}}})
      .node("Concat", {"rest", "s", "s"}, {"by_row"}, {{"axis", std::int64_t{0}}})
      .node("MatMul", {"q", "k"}, {"scores"})
      .node("Reshape", {"scores", "by_head"}, {"divided"})
      .node("Mul", {"divided", "slopes"}, {"scaled"})
      .node("Reshape", {"scaled", "by_row"}, {"merged"})
      .node("Softmax", {"merged"}, {"p"}, {{"axis", std::int64_t{-1}}})
      .node("MatMul", {"p", "v"}, {"o"})
      .output("o");
  const Claims claims = claims_of(w);
  ASSERT_EQ(claims.claims.size(), 1U) << reasons(claims);
  EXPECT_EQ(read_by(claims.claims[0]), (Names{"q", "k", "v", "by_head"}));
}

// The Reshape of a result by a list that is computed from what is inside.
TEST(Claims, ShapeArithmeticOnWhatIsInsideGoesAlong) {
  ModelWriter w = with_qkv();
  w.attention("q", "k", "v", "a")
      .node("Transpose", {"a"}, {"t"}, {{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}})
      .node("Shape", {"a"}, {"shape"})
      .constant("first", Tensor::from_i64({1}, {0}))
      .constant("one", Tensor::from_i64({1}, {1}))
      .node("Slice", {"shape", "first", "one"}, {"batch"})
      .constant("rest", Tensor::from_i64({1}, {-1}))
      .node("Concat", {"batch", "rest"}, {"extents"}, {{"axis", std::int64_t{0}}})
      .node("Reshape", {"t", "extents"}, {"o"})
      .output("o");
  const Claims claims = claims_of(w);
  ASSERT_EQ(claims.claims.size(), 1U) << reasons(claims);
  EXPECT_TRUE(nodes_of(w, claims.claims[0]).contains("extents"));
  EXPECT_EQ(claims.claims[0].part.results[0].name, "o");
}

// Canonicalization drops the Cast, but ONNX Runtime still has it.
TEST(Claims, WhatComputesNothingInBetweenGoesAlong) {
  ModelWriter w = with_qkv();
  w.node("MatMul", {"q", "k"}, {"scores"})
      .node("Softmax", {"scores"}, {"p"}, {{"axis", std::int64_t{-1}}})
      .node("Cast", {"p"}, {"p_f32"}, {{"to", std::int64_t{1}}})
      .node("MatMul", {"p_f32", "v"}, {"o"})
      .output("o");
  const Claims claims = claims_of(w);
  ASSERT_EQ(claims.claims.size(), 1U) << reasons(claims);
  EXPECT_TRUE(nodes_of(w, claims.claims[0]).contains("p_f32"));
}

}  // namespace
}  // namespace burin::ort
