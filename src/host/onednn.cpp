#include "host/onednn.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "burin/error.h"
#include "graph/shape_math.h"
#include "host/onednn_impl.h"
#include "support/aligned_memory.h"

namespace burin::host {

OneDnn::OneDnn(std::size_t capacity) {
  try {
    impl_ = std::make_unique<Impl>(std::max<std::size_t>(capacity, 1));
  } catch (const dnnl::error& e) {
    throw Error(fmt::format("oneDNN cannot be used: {}", e.what()));
  }
}

OneDnn::~OneDnn() = default;

OneDnn::Counters OneDnn::counters() const { return impl_->counters; }

onednn::PrimitivePtr OneDnn::Impl::primitive(
    const onednn::Key& key, const std::function<dnnl::primitive_desc_base()>& make) {
  if (const auto found = by_key_.find(key.text()); found != by_key_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    ++counters.reused;
    return found->second->primitive;
  }
  dnnl::primitive_desc_base desc = make();
  if (!desc) return nullptr;
  ++counters.created;
  dnnl::primitive handle(desc.get());
  entries_.push_front({key.text(), std::make_shared<const onednn::Primitive>(
                                       onednn::Primitive{std::move(desc), std::move(handle)})});
  by_key_.emplace(entries_.front().key, entries_.begin());
  if (entries_.size() > capacity) {  // who uses the primitive still holds it
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
  return entries_.front().primitive;
}

onednn::PackedPtr OneDnn::Impl::pack(const Tensor& tensor, const onednn::Desc& from,
                                     const onednn::Desc& to) {
  const auto address = reinterpret_cast<std::intptr_t>(tensor.data());
  const std::string key = onednn::Key("").add(std::int64_t{address}).add(from).add(to).text();
  if (onednn::PackedPtr found = packed_[key].lock()) return found;
  std::erase_if(packed_, [](const auto& entry) { return entry.second.expired(); });

  dnnl::memory source(from, engine, const_cast<std::byte*>(tensor.data()));  // only read
  dnnl::memory target(to, engine);
  dnnl::reorder(source, target).execute(stream, source, target);
  stream.wait();
  ++counters.packed;
  auto packed = std::make_shared<const onednn::Packed>(onednn::Packed{tensor, to, target});
  packed_[key] = packed;
  return packed;
}

namespace onednn {
namespace {

std::byte* address_of(const Place& place, const KernelArguments& arguments,
                      std::size_t scratchpad) {
  const auto unconst = [](const void* p) { return static_cast<std::byte*>(const_cast<void*>(p)); };
  switch (place.kind) {
    case Place::Kind::input: return unconst(arguments.inputs[place.index]);  // only read
    case Place::Kind::output: return static_cast<std::byte*>(arguments.outputs[place.index]);
    case Place::Kind::scratch: return arguments.scratch + place.index;
    case Place::Kind::scratchpad: return arguments.scratch + scratchpad;
    default: return unconst(place.data);
  }
}

}  // namespace

Desc strided(const Dims& dims, const Dims& strides) {
  return {dims, dnnl::memory::data_type::f32, strides};
}

Desc dense(const Dims& dims) {
  if (dims.empty()) return dense({1});
  return strided(dims, row_major_strides(dims));
}

Desc any_layout(const Dims& dims) {
  return {dims, dnnl::memory::data_type::f32, dnnl::memory::format_tag::any};
}

// ---- Keys ----

Key& Key::add(std::int64_t number) {
  text_ += std::to_string(number);
  text_ += ' ';
  return *this;
}

Key& Key::add(float number) {
  std::int32_t bits = 0;
  std::memcpy(&bits, &number, sizeof(bits));
  return add(std::int64_t{bits});
}

Key& Key::add(const Dims& numbers) {
  for (const std::int64_t number : numbers) add(number);
  text_ += ';';
  return *this;
}

Key& Key::add(const Desc& desc) {
  add(static_cast<std::int64_t>(desc.get_data_type()));
  add(static_cast<std::int64_t>(desc.get_format_kind()));
  add(desc.get_dims());
  if (desc.get_format_kind() != dnnl::memory::format_kind::blocked) return *this;
  return add(desc.get_strides()).add(desc.get_inner_blks()).add(desc.get_inner_idxs());
}

Key& Key::add(const Key& other) {
  text_ += other.text_;
  text_ += '|';
  return *this;
}

bool Primitive::is_optimized() const {
  return std::string_view(desc.impl_info_str()).find("ref") == std::string_view::npos;
}

// ---- Plans ----

void Plan::clear() {
  calls_.clear();
  reserved_ = scratchpad_ = 0;
}

Place Plan::reserve(const Desc& desc) {
  const Place place{Place::Kind::scratch, reserved_};
  reserved_ += aligned_size(desc.get_size());
  return place;
}

void Plan::add(PrimitivePtr primitive, const std::vector<Argument>& arguments) {
  Call call;
  const auto attach = [&](const Argument& argument) {
    call.places.push_back(argument.place);
    call.memories.emplace_back(argument.desc, impl_.engine, nullptr);
    call.arguments.push_back({argument.name, call.memories.back().get()});
  };
  for (const Argument& argument : arguments) attach(argument);
  if (const Desc desc = primitive->desc.scratchpad_desc(); desc.get_size() != 0) {
    attach({DNNL_ARG_SCRATCHPAD, desc, {Place::Kind::scratchpad}});
    scratchpad_ = std::max(scratchpad_, desc.get_size());
  }
  call.primitive = std::move(primitive);
  calls_.push_back(std::move(call));
}

void Plan::add_reorder(const Desc& from, Place source, const Desc& to, Place target) {
  const dnnl::engine& engine = impl_.engine;
  add(impl_.primitive(Key("reorder").add(from).add(to),
                      [&] {
                        return dnnl::reorder::primitive_desc(engine, from, engine, to,
                                                             plain_attributes());
                      }),
      {{DNNL_ARG_FROM, from, source}, {DNNL_ARG_TO, to, target}});
}

void Plan::run(const KernelArguments& arguments) {
  for (Call& call : calls_) {
    for (std::size_t i = 0; i < call.places.size(); ++i)
      call.memories[i].set_data_handle(address_of(call.places[i], arguments, reserved_));
    // The C++ form of this would build the list of arguments anew.
    dnnl::error::wrap_c_api(
        dnnl_primitive_execute(call.primitive->handle.get(), impl_.stream.get(),
                               static_cast<int>(call.arguments.size()), call.arguments.data()),
        "a primitive could not be executed");
  }
  impl_.stream.wait();
}

// ---- Kernels ----

OneDnnKernel::OneDnnKernel(const Node& node, KernelContext& context,
                           std::unique_ptr<Kernel> fallback)
    : impl_(context.onednn.impl()),
      label_(fmt::format("{} '{}'", info(node.op).name, node.name)),
      fallback_(std::move(fallback)),
      plan_(impl_) {}

template <typename F>
void OneDnnKernel::naming_the_node(const F& f) const {
  try {
    f();
  } catch (const dnnl::error& e) {
    throw Error(fmt::format("{}: oneDNN: {}", label_, e.what()));
  }
}

void OneDnnKernel::bind(const KernelShapes& shapes) {
  plan_.clear();
  falls_back_ = false;
  if (product(shapes.outputs[0]) == 0) return;
  naming_the_node([&] {
    if (plan(shapes, plan_)) return;
    plan_.clear();
    if (fallback_ == nullptr) throw Error(fmt::format("{}: oneDNN has no primitive", label_));
    fallback_->bind(shapes);
    falls_back_ = true;
  });
}

std::size_t OneDnnKernel::scratch_bytes() const {
  return falls_back_ ? fallback_->scratch_bytes() : plan_.scratch_bytes();
}

void OneDnnKernel::run(const KernelArguments& arguments) {
  if (falls_back_) return fallback_->run(arguments);
  naming_the_node([&] { plan_.run(arguments); });
}

PrimitivePtr ConstantWeight::primitive(
    OneDnn::Impl& impl, const Key& key,
    const std::function<dnnl::primitive_desc_base(const Desc& weight)>& make) {
  const auto made_for = [&](const Desc& weight) {
    return impl.primitive(Key("").add(key).add(weight), [&] { return make(weight); });
  };
  if (packed_ != nullptr)
    if (PrimitivePtr found = made_for(packed_->desc); found && found->is_optimized()) return found;
  // Asked for a layout first, and then with the layout: the key is the same as at the next binding.
  const dnnl::primitive_desc_base chosen = make(any_layout(plain_.get_dims()));
  if (!chosen) return nullptr;
  const Desc best = chosen.query_md(dnnl::query::weights_md);
  packed_ = impl.pack(tensor_, plain_, best);
  return made_for(best);
}

}  // namespace onednn
}  // namespace burin::host
