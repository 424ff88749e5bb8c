#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/plugin.h>
#include <graft/text.h>
#include <remote/fetch_cache.h>
#include <remote/s3.h>
#include <remote/transfer.h>
#include <remote/transfer_settings.h>
#include <source/delimited.h>

namespace {

using namespace graft::remote;
using graft::Entry;
using graft::Error;

/// Lists the images whose URLs a CSV or TSV file names, in its order. `load` fetches them, on any thread.
class UrlList final : public graft::Source {
 public:
  explicit UrlList(const graft::StageContext& context)
      : params_(context.params),
        file_(params_.get<std::string>("file")),
        named_by_url_(params_.get<std::string>("content") == "url"),
        catalog_(context) {
    limits_ = transfer_limits(params_, context.keep_waiting);
    limits_.max_bytes = params_.get<std::uint64_t>("max_bytes");
    cache_ = fetch_cache(params_);
    std::ifstream in(file_, std::ios::binary);
    if (!in) throw Error("cannot open " + file_ + ": " + std::strerror(errno));
    read(in);
    if (in.bad()) throw Error("cannot read " + file_ + ": " + std::strerror(errno));
    catalog_.close();
  }

  std::vector<std::string> classes() const override { return catalog_.classes(); }
  std::optional<std::size_t> count() override { return catalog_.size(); }
  bool next(Entry& entry) override {
    if (position_ == catalog_.size()) return false;
    entry = catalog_.entry(position_++);
    if (named_by_url_) entry.content = graft::digest("url " + entry.key);
    return true;
  }
  graft::Payload load(const Entry& entry) const override {
    auto bytes = content_of(entry.key);
    return graft::Bytes{bytes, bytes->data(), bytes->size()};
  }

 private:
  /// From the cache, where the server says that it is still the content, or need not be asked.
  FetchedBytes content_of(const std::string& url) const {
    if (!cache_) return fetch(url, limits_).bytes;
    const std::string place = is_s3(url) ? s3_request(url).url : url;  // another endpoint is another store
    const auto kept = cache_->find(place);
    if (kept && named_by_url_) return kept->bytes;
    Fetched fetched = fetch(url, limits_, kept ? kept->tag : "");
    if (fetched.bytes == nullptr) return kept->bytes;
    cache_->keep(place, fetched.tag, *fetched.bytes);
    return fetched.bytes;
  }

  [[noreturn]] void fail(std::size_t line, const std::string& text) const {
    throw Error(file_ + ":" + std::to_string(line) + ": " + text);
  }

  void read(std::istream& in) {
    graft::source::DelimitedReader reader(in, file_, file_.ends_with(".tsv") ? '\t' : ',');
    std::vector<std::string> header, fields;
    if (!reader.next(header))
      throw Error("expected a header with the names of the columns in " + file_ + ", got an empty file");
    const auto url = position(header, reader.line(), "url", true);
    const auto label = position(header, reader.line(), "label", params_.has("label"));
    const auto split = position(header, reader.line(), "split", params_.has("split"));
    bool any_s3 = false;
    while (reader.next(fields)) {
      if (fields.size() != header.size())
        fail(reader.line(), "expected " + graft::plural(header.size(), "field") +
                                ", as the header has, got " + std::to_string(fields.size()) +
                                "; put fields that hold the separator into quotes");
      const std::string& text = fields[*url];
      if (const std::string fault = fault_of_url(text); !fault.empty())
        fail(reader.line(), fault + ", got '" + graft::shortened(text) + "'");
      if (is_s3(text) && !std::exchange(any_s3, true))
        s3_request(text);  // what is wrong with the environment
      std::vector<std::string> labels;
      if (label && !fields[*label].empty()) labels.push_back(fields[*label]);
      std::optional<graft::Split> where;
      if (split && !fields[*split].empty()) {
        where = graft::split_from(fields[*split]);
        if (!where)
          fail(reader.line(), "expected train, val or test, got '" + graft::shortened(fields[*split]) + "'");
      }
      catalog_.add(text, labels, where, catalog_.size());
    }
  }

  /// Of the column that a parameter names; by default, of the parameter's own name.
  std::optional<std::size_t> position(const std::vector<std::string>& header, std::size_t line,
                                      const char* parameter, bool needed) const {
    const std::string name = params_.has(parameter) ? params_.get<std::string>(parameter) : parameter;
    for (std::size_t i = 0; i < header.size(); ++i)
      if (header[i] == name) return i;
    if (needed) fail(line, "expected a column '" + name + "', got " + graft::joined(header));
    return {};
  }

  const graft::Params params_;
  const std::string file_;
  const bool named_by_url_;
  graft::Catalog catalog_;
  std::unique_ptr<FetchCache> cache_;
  TransferLimits limits_;
  std::size_t position_ = 0;
};

}  // namespace

GRAFT_PLUGIN(
    url_list, "1.0.0", UrlList,
    graft::PluginSchema::source(
        "Lists the images whose URLs a CSV or TSV file names, and fetches them (HTTP, HTTPS, S3).")
        .output("out", graft::PortType::Bytes, "u8[?]",
                "The files, in the order of the list; the key is the URL.")
        .param(graft::file("file").required().doc("The list: .csv, or .tsv with tabs; with a header."))
        .param(graft::text("url").optional().doc("The column with the URLs; default: url."))
        .param(graft::text("label").optional().doc(
            "The column with the class; default: label, if there is one."))
        .param(graft::text("split").optional().doc(
            "The column with train, val or test; default: split, if there is one."))
        .param(
            graft::choice("content", {"bytes", "url"}, "bytes")
                .doc("What rows are stored under. bytes: every run fetches every file, to see whether it has "
                     "changed. url: the content of a URL never changes, so that stored rows need no "
                     "fetching."))
        .param(graft::integer("max_bytes", 100 << 20)
                   .range(1, 1 << 30)
                   .unit("bytes")
                   .doc("Longer files are rejected."))
        .params_from(graft::remote::transfer_parameters())
        .params_from(graft::remote::cache_parameters())
        .params_from(graft::Catalog::parameters())
        .example(R"(name: url-list-example
run: {threads: 16}
stages:
  images: {plugin: url_list, with: {file: "${GRAFT_SHARE}/configs/url_list.csv"}}
  pixels: {plugin: decode, from: images, with: {resize: 32, crop: 32}}
  features: {plugin: backbone, from: pixels, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
