// A source for benchmarks: as many rows as wanted, whose contents are known without making them, as those of
// files in the memo are.

#include <cstring>

#include <graft/plugin.h>

namespace {

class NumberedRows final : public graft::Source {
 public:
  explicit NumberedRows(const graft::StageContext& context)
      : rows_(context.params.get<std::int64_t>("rows")),
        dim_(context.params.get<std::int64_t>("dim")),
        val_(context.params.get<std::int64_t>("val")) {}
  std::vector<std::string> classes() const override { return {"even", "odd"}; }
  std::optional<std::size_t> count() override { return static_cast<std::size_t>(rows_); }
  bool next(graft::Entry& entry) override {
    if (at_ == rows_) return false;
    // The length of a path in a data set, and the order in which a folder is listed.
    char key[48];
    std::snprintf(key, sizeof key, "train/class%02d/image_%09lld.jpg", static_cast<int>(at_ * 100 / rows_),
                  static_cast<long long>(at_));
    entry.key = key;
    entry.split = at_ < val_ ? graft::Split::Val : graft::Split::Train;
    entry.labels = {static_cast<std::int32_t>(at_ % 2)};
    entry.content = graft::digest(&at_, sizeof at_);
    ++at_;
    return true;
  }
  graft::Payload load(const graft::Entry& entry) const override {
    graft::Tensor row = graft::Tensor::allocate(graft::DType::F32, {dim_});
    std::uint64_t state = entry.content->low;
    for (std::int64_t i = 0; i < dim_; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      row.as<float>()[i] = static_cast<float>(state >> 40) * 0x1p-24f;
    }
    return row;
  }

 private:
  std::int64_t rows_, dim_, val_, at_ = 0;
};

}  // namespace

GRAFT_PLUGIN(
    numbered_rows, "1.0.0", NumberedRows,
    graft::PluginSchema::source("Makes rows of numbers.")
        .output("out", graft::PortType::Tensor, "f32[{dim}]", "A row.")
        .param(graft::integer("rows").required().range(1, 1000000000).doc("How many."))
        .param(graft::integer("dim").required().range(1, 65536).doc("Numbers in each."))
        .param(graft::integer("val", 1000).range(0, 1000000000).doc("The first so many are for val.")))
