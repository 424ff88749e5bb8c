#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include <vector>

/// oneDNN of version 2.6 to 3.7, whose calls differ: all that differs is here. Version 3 has no operation
/// descriptors any more. Every function throws dnnl::error where there is no such kernel.
namespace graft::fused::onednn {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;
using dnnl::algorithm;
using dnnl::engine;
using dnnl::primitive_attr;

/// Extents along height and width, pixels that are left out between those of a kernel, and the borders that
/// are added.
struct Window {
  Dims strides, kernel, gaps, before, after;
};

#if DNNL_VERSION_MAJOR >= 3

inline dnnl::convolution_forward::primitive_desc convolution(const engine& on, algorithm how,
                                                             const Desc& source, const Desc& weights,
                                                             const Desc& bias, const Desc& target,
                                                             const Window& w, const primitive_attr& then) {
  return {on,      dnnl::prop_kind::forward_inference,
          how,     source,
          weights, bias,
          target,  w.strides,
          w.gaps,  w.before,
          w.after, then};
}

inline dnnl::inner_product_forward::primitive_desc inner_product(const engine& on, const Desc& source,
                                                                 const Desc& weights, const Desc& bias,
                                                                 const Desc& target,
                                                                 const primitive_attr& then) {
  return {on, dnnl::prop_kind::forward_inference, source, weights, bias, target, then};
}

inline dnnl::pooling_forward::primitive_desc pooling(const engine& on, algorithm how, const Desc& source,
                                                     const Desc& target, const Window& w,
                                                     const primitive_attr& then) {
  return {on,       dnnl::prop_kind::forward_inference,
          how,      source,
          target,   w.strides,
          w.kernel, Dims{0, 0},
          w.before, w.after,
          then};
}

inline dnnl::binary::primitive_desc binary(const engine& on, algorithm how, const Desc& a, const Desc& b,
                                           const Desc& target, const primitive_attr& then) {
  return {on, how, a, b, target, then};
}

inline dnnl::eltwise_forward::primitive_desc eltwise(const engine& on, algorithm how, const Desc& in,
                                                     float alpha, float beta, const primitive_attr& then) {
  return {on, dnnl::prop_kind::forward_inference, how, in, in, alpha, beta, then};
}

inline dnnl::layer_normalization_forward::primitive_desc layer_norm(const engine& on, const Desc& layout,
                                                                    float eps, const primitive_attr& then) {
  return {on,     dnnl::prop_kind::forward_inference,
          layout, layout,
          eps,    dnnl::normalization_flags::use_scale | dnnl::normalization_flags::use_shift,
          then};
}

inline dnnl::matmul::primitive_desc matmul(const engine& on, const Desc& a, const Desc& b, const Desc& target,
                                           const primitive_attr& then) {
  return {on, a, b, target, then};
}

using Softmax = dnnl::softmax_forward;

/// Over the last axis of a matrix, in place.
inline Softmax::primitive_desc softmax(const engine& on, const Desc& matrix, const primitive_attr& then) {
  return {on, dnnl::prop_kind::forward_inference, algorithm::softmax_accurate, matrix, matrix, 1, then};
}

inline dnnl::concat::primitive_desc concat(const engine& on, const Desc& target, int axis,
                                           const std::vector<Desc>& parts, const primitive_attr& then) {
  return {on, target, axis, parts, then};
}

inline void append_eltwise(dnnl::post_ops& to, algorithm how, float alpha, float beta) {
  to.append_eltwise(how, alpha, beta);
}

inline dnnl::memory::data_type type_of(const Desc& layout) {
  return layout.get_data_type();
}

inline bool is_blocked(const Desc& layout) {
  return layout.get_format_kind() == dnnl::memory::format_kind::blocked;
}

#else

inline dnnl::convolution_forward::primitive_desc convolution(const engine& on, algorithm how,
                                                             const Desc& source, const Desc& weights,
                                                             const Desc& bias, const Desc& target,
                                                             const Window& w, const primitive_attr& then) {
  return {{dnnl::prop_kind::forward_inference, how, source, weights, bias, target, w.strides, w.gaps,
           w.before, w.after},
          then,
          on};
}

inline dnnl::inner_product_forward::primitive_desc inner_product(const engine& on, const Desc& source,
                                                                 const Desc& weights, const Desc& bias,
                                                                 const Desc& target,
                                                                 const primitive_attr& then) {
  return {{dnnl::prop_kind::forward_inference, source, weights, bias, target}, then, on};
}

inline dnnl::pooling_forward::primitive_desc pooling(const engine& on, algorithm how, const Desc& source,
                                                     const Desc& target, const Window& w,
                                                     const primitive_attr& then) {
  return {{dnnl::prop_kind::forward_inference, how, source, target, w.strides, w.kernel, w.before, w.after},
          then,
          on};
}

inline dnnl::binary::primitive_desc binary(const engine& on, algorithm how, const Desc& a, const Desc& b,
                                           const Desc& target, const primitive_attr& then) {
  return {{how, a, b, target}, then, on};
}

inline dnnl::eltwise_forward::primitive_desc eltwise(const engine& on, algorithm how, const Desc& in,
                                                     float alpha, float beta, const primitive_attr& then) {
  return {{dnnl::prop_kind::forward_inference, how, in, alpha, beta}, then, on};
}

inline dnnl::layer_normalization_forward::primitive_desc layer_norm(const engine& on, const Desc& layout,
                                                                    float eps, const primitive_attr& then) {
  return {{dnnl::prop_kind::forward_inference, layout, eps,
           dnnl::normalization_flags::use_scale | dnnl::normalization_flags::use_shift},
          then,
          on};
}

inline dnnl::matmul::primitive_desc matmul(const engine& on, const Desc& a, const Desc& b, const Desc& target,
                                           const primitive_attr& then) {
  return {{a, b, target}, then, on};
}

using Softmax = dnnl::softmax_v2_forward;

/// Over the last axis of a matrix, in place.
inline Softmax::primitive_desc softmax(const engine& on, const Desc& matrix, const primitive_attr& then) {
  return {{dnnl::prop_kind::forward_inference, algorithm::softmax_accurate, matrix, matrix, 1}, then, on};
}

inline dnnl::concat::primitive_desc concat(const engine& on, const Desc& target, int axis,
                                           const std::vector<Desc>& parts, const primitive_attr& then) {
  return {target, axis, parts, on, then};
}

inline void append_eltwise(dnnl::post_ops& to, algorithm how, float alpha, float beta) {
  to.append_eltwise(1.0f, how, alpha, beta);
}

inline dnnl::memory::data_type type_of(const Desc& layout) {
  return layout.data_type();
}

/// Whether the elements are those of a plain order, only placed otherwise: not Winograd's.
inline bool is_blocked(const Desc& layout) {
  return layout.data.format_kind == dnnl_blocked;
}

#endif

}  // namespace graft::fused::onednn
