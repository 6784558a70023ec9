// oneDNN's BRGEMM ukernel as the executor "onednn". oneDNN generates code for each shape, for the
// best instruction set that it finds (ONEDNN_MAX_CPU_ISA caps it); it runs in the thread that calls
// it.

#include <fmt/format.h>

#include <array>
#include <oneapi/dnnl/dnnl_ukernel.hpp>

#include "burin/error.h"
#include "runtime/brgemm_executor.h"

namespace burin::runtime {
namespace {

class OneDnnBrgemm final : public BrgemmKernel {
 public:
  explicit OneDnnBrgemm(const BrgemmShape& s)
      : brgemm_(s.rows, s.columns, s.depth, 1, s.leading_a, s.leading_b, s.leading_c,
                dnnl::memory::data_type::f32, dnnl::memory::data_type::f32,
                dnnl::memory::data_type::f32) {
    brgemm_.set_add_C(false);
    brgemm_.finalize();
    // So it is for f32. Otherwise B had to be packed, and each thread to set up its tiles.
    if (brgemm_.get_B_pack_type() != dnnl::ukernel::pack_type::no_trans ||
        brgemm_.get_scratchpad_size() != 0)
      throw Error("oneDNN's BRGEMM ukernel wants a packed operand");
    brgemm_.generate();
  }

  void run(const float* a, const float* b, float* c) const override {
    // The C function takes an array; that of C++ a vector, which would be allocated in each call.
    constexpr std::array<dnnl_dim_t, 2> kOffsets = {0, 0};
    if (dnnl_brgemm_execute(brgemm_.get(), a, b, kOffsets.data(), c, nullptr) != dnnl_success)
      throw Error("oneDNN's BRGEMM ukernel does not run");
  }

 private:
  dnnl::ukernel::brgemm brgemm_;
};

std::shared_ptr<const BrgemmKernel> make(const BrgemmShape& s) {
  try {
    return std::make_shared<const OneDnnBrgemm>(s);
  } catch (const dnnl::error& e) {
    throw Error(fmt::format("oneDNN's BRGEMM ukernel for {} x {} x {}: {}", s.rows, s.columns,
                            s.depth, e.what()));
  }
}

[[maybe_unused]] const bool registered = register_brgemm_executor("onednn", make);

}  // namespace
}  // namespace burin::runtime
