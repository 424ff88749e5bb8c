// A report for tests that asks for trainings which must be refused.

#include <graft/plugin.h>

namespace {

class Meddler final : public graft::Report {
 public:
  explicit Meddler(const graft::StageContext& context) : does_(context.params.get<std::string>("does")) {}

  graft::ReportOutput report(const graft::ReportInput& input) override {
    const std::string& learner = input.predictions.at(0).learner;
    const auto& inputs = input.trials.inputs(learner);
    graft::Trials::Rows rows;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].split == graft::Split::Train) rows.train.push_back(i);
      if (inputs[i].split == graft::Split::Test && does_ == "trains on test") rows.train.push_back(i);
      if (inputs[i].split == graft::Split::Test && does_ == "chooses on test") rows.val.push_back(i);
    }
    if (does_ == "scores what it trained on") rows.score = rows.train;
    input.trials.fit(does_ == "asks for nobody" ? "nobody" : learner, rows);
    return {};
  }

 private:
  std::string does_;
};

}  // namespace

GRAFT_PLUGIN(meddler, "1.0.0", Meddler,
             graft::PluginSchema::report("Asks for trainings that must be refused.")
                 .input(graft::PortType::Predictor, "A learner.", true)
                 .param(graft::text("does", "").doc("What it tries.")))
