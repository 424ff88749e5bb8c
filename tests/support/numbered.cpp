// Plugins for tests of views: a source of numbered inputs, a transform that makes views and refuses some of
// them, and a batch transform that refuses some. One of each is compiled from this file.

#include <graft/plugin.h>
#include <graft/random.h>

#include "numbered.h"

namespace {

using namespace graft;  // NOLINT: a test plugin

#if defined(NUMBERED_SOURCE)
class Numbered final : public Source {
 public:
  explicit Numbered(const StageContext& context) : inputs_(context.params.get<int>("inputs")) {}
  std::vector<std::string> classes() const override { return {"a", "b"}; }
  bool next(Entry& entry) override {
    if (at_ == inputs_) return false;
    const test::NumberedInput input = test::numbered_input(at_++);
    entry.key = input.key;
    entry.split = input.split;
    entry.labels = {0};
    entry.content = digest(std::to_string(input.content));
    return true;
  }
  Payload load(const Entry& entry) const override {
    Tensor t = Tensor::allocate(DType::F32, {1});
    *t.as<float>() = static_cast<float>(test::content_of(entry.key));
    return t;
  }

 private:
  int inputs_, at_ = 0;
};
}  // namespace

GRAFT_PLUGIN(numbered_source, "1.0.0", Numbered,
             PluginSchema::source("Numbers.")
                 .output("out", PortType::Tensor, "f32[1]", "A number.")
                 .param(integer("inputs", 20).range(1, 1000000).not_in_fingerprint().doc("How many.")))

#else
/// Fails for views that test::refuses names; views are distinguished by their content.
class Numbered final :
#if defined(NUMBERED_BATCH)
    public BatchTransform {
 public:
  std::size_t batch_size() const override {
    return 3;
  }
  void apply(std::span<const Item> items, BatchOutput& out) const override {
    for (std::size_t i = 0; i < items.size(); ++i)
      if (refuses(items[i]))
        out.reject(i, "refused", "it is refused");
      else
        out.set(i, items[i].payload);
  }
#else
    public Transform {
 public:
  std::uint32_t views() const override {
    return views_;
  }
  Payload apply(const Item& item) const override {
    if (refuses(item)) throw Reject("refused", "it is refused");
    Tensor out = Tensor::allocate(DType::F32, {1});
    *out.as<float>() = test::value_of_view(*item.tensor().as<float>(), item.view % views_);
    return out;
  }
#endif
  explicit Numbered(const StageContext& context)
      : salt_(context.params.get<int>("salt")),
        refuse_(context.params.get<double>("refuse")),
        views_(context.params.get<std::uint32_t>("views")) {}

 private:
  bool refuses(const Item& item) const {
    return test::refuses(test::content_of(item.key()), item.view, salt_, refuse_);
  }
  int salt_;
  double refuse_;
  std::uint32_t views_;
};
}  // namespace

#if defined(NUMBERED_BATCH)
GRAFT_PLUGIN(numbered_batch, "1.0.0", Numbered,
             PluginSchema::batch_transform("Refuses some.")
                 .input(PortType::Tensor, "A number.")
                 .output("out", PortType::Tensor, "f32[1]", "The same.")
                 .param(integer("batch", 3).range(1, 100).not_in_fingerprint().doc("Items."))
#else
GRAFT_PLUGIN(numbered_views, "1.0.0", Numbered,
             PluginSchema::transform("Makes views, refuses some.")
                 .input(PortType::Tensor, "A number.")
                 .output("out", PortType::Tensor, "f32[1]", "Another.")
                 .views_from("views")
#endif
                 .param(integer("views", 1).range(1, 20).doc("Views."))
                 .param(integer("salt", 0).range(0, 1000).doc("Chooses who is refused."))
                 .param(number("refuse", 0).range(0, 1).doc("How many are refused.")))
#endif
