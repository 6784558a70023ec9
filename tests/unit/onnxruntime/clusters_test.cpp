#include "plugins/onnxruntime/clusters.h"

#include <gtest/gtest.h>

#include "tests/unit/onnxruntime/model_writer.h"

namespace burin::ort {
namespace {

/// a1 -> b1, b2 -> a2, and a chain.
frontend::OnnxModel two_pairs() {
  test::ModelWriter w;
  w.input("x", {std::int64_t{1}})
      .node("Relu", {"x"}, {"a1"})
      .node("Relu", {"x"}, {"b2"})
      .node("Relu", {"a1"}, {"b1"})
      .node("Relu", {"b2"}, {"a2"})
      .node("Relu", {"b1"}, {"c"})
      .output("c")
      .output("a2");
  return w.model;
}

constexpr std::size_t kA1 = 0, kB2 = 1, kB1 = 2, kA2 = 3, kC = 4;

TEST(Clusters, AWayThroughOthersIsNone) {
  const frontend::OnnxModel model = two_pairs();
  const ModelIndex index(model);
  const Clusters clusters(index);
  EXPECT_FALSE(clusters.why_not({kA1, kB1}));
  EXPECT_FALSE(clusters.why_not({kA1, kB1, kC}));
  ASSERT_TRUE(clusters.why_not({kA1, kC}));
  EXPECT_NE(clusters.why_not({kA1, kC})->find("'b1'"), std::string::npos);
}

TEST(Clusters, ClustersThatReadEachOtherAreNone) {
  const frontend::OnnxModel model = two_pairs();
  const ModelIndex index(model);
  Clusters clusters(index);
  EXPECT_FALSE(clusters.why_not({kB1, kB2}));
  clusters.merge({kA1, kA2});
  EXPECT_TRUE(clusters.why_not({kB1, kB2}));
}

TEST(Clusters, ANodeIsClaimedOnce) {
  const frontend::OnnxModel model = two_pairs();
  const ModelIndex index(model);
  Clusters clusters(index);
  clusters.merge({kA1, kB1});
  EXPECT_TRUE(clusters.why_not({kB1, kC}));
  EXPECT_FALSE(clusters.why_not({kA2}));
  clusters.merge({kA2});
  EXPECT_TRUE(clusters.why_not({kA2}));
}

}  // namespace
}  // namespace burin::ort
