#include <cstdlib>

#include <gtest/gtest.h>

#include "burin/error.h"
#include "target/target_info.h"

namespace burin {
namespace {

TEST(Target, NamesAndBack) {
  for (const Isa isa : {Isa::none, Isa::avx2, Isa::avx512}) {
    EXPECT_EQ(isa_from_string(to_string(isa)), isa);
    EXPECT_EQ(target_for(isa).name, to_string(isa));
    EXPECT_EQ(target_for(isa).isa, isa);
  }
  EXPECT_THROW(isa_from_string("sse2"), Error);
}

TEST(Target, TheEnvironmentCapsTheHost) {
  const TargetInfo host = host_target();
  EXPECT_GT(host.l1_bytes, 0);
  EXPECT_GE(host.l2_bytes, host.l1_bytes);
  setenv("BURIN_ISA", "avx2", 1);
  EXPECT_EQ(host_target().isa, std::min(host.isa, Isa::avx2));
  setenv("BURIN_ISA", "avx512", 1);
  EXPECT_EQ(host_target().isa, host.isa);
  setenv("BURIN_ISA", "avx1024", 1);
  EXPECT_THROW(host_target(), Error);
  unsetenv("BURIN_ISA");
}

}  // namespace
}  // namespace burin
