// The program as a person runs it, through `graft model`, and its downloads against a server on the loopback
// device.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>

#include <graft/error.h>
#include <graft/files.h>
#include <graft/payload.h>
#include <graft/safetensors.h>
#include <graft/testing/error_of.h>
#include <graft/value.h>

#include <network/architecture.h>
#include <network/testing/onnx_writer.h>
#include "download.h"
#include "fetch.h"
#include "http_server.h"
#include "program.h"
#include "quantities.h"

namespace graft::model {
namespace {

using graft::testing::error_of;
using test::HttpServer;
using test::TempFolder;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kData = GRAFT_NETWORK_TESTDATA "/";

test::ProgramResult run(std::vector<std::string> words, const std::vector<std::string>& environment = {}) {
  words.insert(words.begin(), "model");
  return test::run_program(words, {}, environment);
}

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(List, NamesEveryArchitecture) {
  const auto result = run({"list"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(lines(result.out), nn::architecture_names().size() + 1);
  EXPECT_THAT(result.out, HasSubstr("\nresnet50           25,557,032         4.09 G  224 x 224      2048  "
                                    "resnet50-0676ba61.pth\n"));
  const Value json = Value::from_json(run({"list", "--json"}).out);
  EXPECT_EQ(json.as_list().size(), nn::architecture_names().size());
  EXPECT_EQ(json.as_list()[0].find("parameters")->as_int(), 11'689'512);
}

TEST(Summary, FoldsBlocksAndFitsATerminal) {
  const auto result = run({"summary", "resnet50"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(
      result.out,
      StartsWith("resnet50, image 3 x 224 x 224\n\nlayer     type           output          parameters"));
  EXPECT_THAT(result.out,
              HasSubstr("\nlayer1.0  Bottleneck     256 x 56 x 56       75,008          231 M  23.0 MiB\n"));
  EXPECT_THAT(result.out,
              HasSubstr("\ntotal                                    25,557,032         4.09 G   143 MiB\n"));
  EXPECT_THAT(
      result.out,
      HasSubstr("\ninput       shorter side to 256 px (bilinear), crop 224 px, normalize: imagenet\n"));
  EXPECT_THAT(result.out, HasSubstr("\nfeatures    flatten, 2048 values\n"));
  EXPECT_LT(lines(result.out), 40u);
  for (std::size_t at = 0; at < result.out.size();) {
    const std::size_t end = result.out.find('\n', at);
    EXPECT_LE(end - at, 120u) << result.out.substr(at, end - at);
    at = end + 1;
  }
  EXPECT_THAT(run({"summary", "resnet50", "--all"}).out, HasSubstr("\nlayer1.0.downsample.0  Conv 1x1 "));
  EXPECT_THAT(run({"summary", "mobilenet_v1_075", "--all"}).out,
              HasSubstr("Conv 3x3/2 depthwise pad 0,0,1,1"));
}

TEST(Summary, MarksWhatIsFrozen) {
  const auto frozen = run({"summary", "resnet18", "--freeze", "layer3.0"}).out;
  EXPECT_THAT(frozen, HasSubstr("  frozen\nlayer3.1  BasicBlock"));
  EXPECT_THAT(frozen, HasSubstr("44.6 MiB as float32, 10,087,400 trainable\n"));
  EXPECT_THAT(run({"summary", "resnet18", "--freeze", "layer3.0.bn1"}).out,
              HasSubstr("  partly\nlayer3.1  BasicBlock"));
  EXPECT_THAT(run({"summary", "resnet18", "--freeze=all"}).out, HasSubstr("as float32, 0 trainable\n"));
  EXPECT_THAT(run({"summary", "resnet18", "--freeze", "none"}).out, Not(HasSubstr("frozen")));
  const auto wrong = run({"summary", "resnet18", "--freeze", "layer9"});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.err,
              StartsWith("error: resnet18 has no layer 'layer9'; did you mean 'layer1'?: expected conv1, "));
}

TEST(Summary, TakesOptionsOfTheArchitecture) {
  EXPECT_THAT(run({"summary", "resnet8", "--width", "4", "--classes", "3"}).out,
              HasSubstr("\nlinear    Linear      3                    51 "));
  EXPECT_THAT(run({"summary", "resnet18", "--classes", "0"}).out, Not(HasSubstr("Linear")));
  EXPECT_THAT(run({"summary", "vgg11", "--size", "64"}).out, StartsWith("vgg11, image 3 x 64 x 64\n"));
  EXPECT_EQ(run({"summary", "vgg11", "--size", "16"}).err,
            "error: vgg11: layer features.20 (MaxPool) takes at least 2 x 2 px with its padding, gets "
            "[512,1,1] from "
            "features.19 for an image of 16 x 16 px\n");
  EXPECT_THAT(run({"summary", "vgg11", "--width", "4"}).err, HasSubstr("vgg11 has no `width`"));
}

TEST(Summary, DrawsAGraph) {
  const std::string dot = run({"summary", "resnet8", "--dot"}).out;
  EXPECT_THAT(dot, StartsWith("digraph \"resnet8\" {\n"));
  EXPECT_THAT(dot, HasSubstr("  \"layer1.0\" [label=\"layer1.0\\nBasicBlock\\n16 x 32 x 32\"];\n"));
  EXPECT_THAT(dot, HasSubstr("  \"relu1\" -> \"layer1.0\";\n"));
  EXPECT_THAT(dot, EndsWith("}\n"));
  const std::string all = run({"summary", "resnet8", "--dot", "--all"}).out;
  EXPECT_THAT(all, HasSubstr("  \"relu1\" -> \"layer1.0.add\";\n"));
}

TEST(Summary, JsonHasEveryLayer) {
  const Value json = Value::from_json(run({"summary", "resnet18", "--freeze", "layer1", "--json"}).out);
  EXPECT_EQ(json.find("layers")->as_list().size(), nn::make_architecture("resnet18").layers.size());
  const Value& first = json.find("layers")->as_list()[0];
  EXPECT_EQ(first.find("name")->as_string(), "conv1");
  EXPECT_TRUE(first.find("frozen")->as_bool());
  EXPECT_EQ(first.find("output")->to_json(), "[64,112,112]");
  EXPECT_EQ(json.find("preprocessing")->find("crop")->as_int(), 224);
}

TEST(Summary, OfAFileSaysWhatFits) {
  const char* data = std::getenv("GRAFT_DATA");
  if (data == nullptr) GTEST_SKIP() << "GRAFT_DATA is not set";
  const std::string at = std::string(data) + "/weights/";
  const auto pth = run({"summary", at + "resnet20_cifar10.pth"});
  EXPECT_THAT(
      pth.out,
      StartsWith(at + "resnet20_cifar10.pth: PyTorch state_dict, 116 tensors, 1.07 MiB\nfits resnet20\n\n"));
  const auto safe = run({"summary", at + "mobilenet_v1_075_imagenet.safetensors"});
  EXPECT_THAT(safe.out, HasSubstr(": safetensors, 164 tensors, "));
  EXPECT_THAT(safe.out, HasSubstr("\n  arch: mobilenet_v1_075\n"));
  EXPECT_THAT(safe.out, HasSubstr("\nfits mobilenet_v1_075\n"));
  const auto script = run({"summary", at + "mobilenet_v1_075_imagenet.torchscript.pt"});
  EXPECT_EQ(script.exit_code, 0) << script.err;
  EXPECT_THAT(script.out, HasSubstr(": TorchScript, "));
}

TEST(Summary, OfAnyOtherFileIsItsTensors) {
  const auto result = run({"summary", kData + "checkpoint.pth"});
  EXPECT_THAT(result.out, StartsWith(kData + "checkpoint.pth: PyTorch state_dict, 7 tensors, 2.92 KiB\n"
                                             "fits no architecture (graft model list)\n\n"));
  EXPECT_THAT(result.out, HasSubstr("\nmodule.conv.weight             F32   4 x 3 x 3 x 3       108\n"));
  const auto script = run({"summary", kData + "script.pt"});
  EXPECT_THAT(script.out, StartsWith(kData + "script.pt: TorchScript, 2 tensors, 24 B\n"));
  EXPECT_THAT(script.out, HasSubstr("TorchScript is code: it runs when it is loaded"));
  const auto model = run({"summary", kData + "model.pth"});
  EXPECT_EQ(model.exit_code, 1);
  EXPECT_THAT(model.err,
              StartsWith("error: " + kData + "model.pth: its pickle names torch.nn.modules.linear.Linear: "));
}

/// A ViT of width 8 as timm publishes it, in a folder with what a config needs.
class Check : public ::testing::Test {
 protected:
  Check() {
    std::map<std::string, Tensor> tensors;
    const auto put = [&](const std::string& name, const Shape& shape) {
      Tensor& tensor = tensors[name];
      tensor = Tensor::allocate(DType::F32, shape);
      for (std::int64_t i = 0; i < tensor.size(); ++i)
        tensor.as<float>()[i] = static_cast<float>(i % 7) * 0.1f;
    };
    const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in) {
      put(name + ".weight", {out, in});
      put(name + ".bias", {out});
    };
    put("cls_token", {1, 1, 8});
    put("pos_embed", {1, 10, 8});
    put("patch_embed.proj.weight", {8, 3, 4, 4});
    put("patch_embed.proj.bias", {8});
    linear("blocks.0.attn.qkv", 24, 8);
    linear("blocks.0.attn.proj", 8, 8);
    linear("blocks.0.mlp.fc1", 16, 8);
    linear("blocks.0.mlp.fc2", 8, 16);
    for (const char* norm : {"blocks.0.norm1", "blocks.0.norm2", "norm"}) {
      put(std::string(norm) + ".weight", {8});
      put(std::string(norm) + ".bias", {8});
    }
    put("decoder.weight", {3});
    folder_.write("vit/model.safetensors", to_safetensors(tensors));
    folder_.write("vit/config.json",
                  R"({"architecture": "vit_tiny", "global_pool": "token", "model_args": {"num_heads": 2}})");
    folder_.write("photos/a.ppm", "P6 14 12 255\n" + std::string(14 * 12 * 3, 'x'));
  }
  std::string model() const { return folder_ / "vit"; }
  std::string config(const std::string& pixels, const std::string& features) const {
    return folder_.write("config.yaml",
                         "name: c\nstages:\n"
                         "  images: {plugin: files, with: {paths: [photos]}}\n"
                         "  pixels: {plugin: decode, from: images" +
                             pixels +
                             "}\n"
                             "  features: {plugin: backbone, from: pixels, with: {model: vit" +
                             features +
                             "}}\n"
                             "  table: {plugin: feature_table, from: features}\n");
  }
  TempFolder folder_;
};

TEST_F(Check, WhatItIsAndFromWhereThatIsKnown) {
  const auto result = run({"check", model()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith(model() + ": safetensors, 19 tensors in "));
  EXPECT_THAT(result.out, HasSubstr("\n  weights of vit_tiny\n  features: 8 values\n"));
  EXPECT_THAT(result.out, HasSubstr("\n  heads            2  "));
  EXPECT_THAT(result.out, HasSubstr("<- `model_args.num_heads` in config.json\n"));
  EXPECT_THAT(result.out, HasSubstr("\nnot used (1): decoder.weight\n"));
  const Value json = Value::from_json(run({"check", model(), "--json"}).out);
  EXPECT_EQ(json.find("features")->as_int(), 8);
  EXPECT_EQ(json.find("unused")->as_list()[0].as_string(), "decoder.weight");
}

/// A convolution, the mean of its channels and a linear layer, for images of 6 x 6 px; the weight of one
/// element is given.
std::string small_onnx(float weight) {
  test::OnnxWriter out;
  out.input("x", {1, 3, 6, 6});
  out.weight("conv.weight", {2, 3, 1, 1}, {weight, 2, 3, 4, 5, 6});
  out.node("Conv", {"x", "conv.weight"}, {"c"}, {}, "/conv/Conv");
  out.node("GlobalAveragePool", {"c"}, {"p"}, {}, "/pool/GlobalAveragePool");
  out.node("Flatten", {"p"}, {"f"});
  out.weight("fc.weight", {2, 2}, {1, -1, 0.5F, 2});
  out.weight("fc.bias", {2}, {0.25F, 0});
  out.node("Gemm", {"f", "fc.weight", "fc.bias"}, {"y"}, {}, "/fc/Gemm");
  out.output("y");
  return out.bytes();
}

TEST_F(Check, AnOnnxModelIsComparedWithItsGraph) {
  const std::string path = folder_.write("small.onnx", small_onnx(1));
  const auto result = run({"check", path});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith(path + ": ONNX, 3 tensors in "));
  EXPECT_THAT(result.out, HasSubstr("ONNX, opset 17, IR 8, by graft"));
  EXPECT_THAT(result.out, HasSubstr("1 Conv, 1 Flatten, 1 Gemm, 1 GlobalAveragePool"));
  EXPECT_THAT(result.out, HasSubstr("6 x 6 px"));
  EXPECT_THAT(result.out, HasSubstr("of the graph's own values"));
  EXPECT_THAT(result.out, HasSubstr("\nguessed: an ONNX file does not say how images are prepared: "));

  const auto summary = run({"summary", path, "--all"});
  EXPECT_EQ(summary.exit_code, 0) << summary.err;
  EXPECT_THAT(summary.out, HasSubstr("\n  small.onnx\n  producer: graft\n  opset: 17\n"));
  EXPECT_THAT(summary.out, HasSubstr("\nsmall.onnx, image 3 x 6 x 6\n"));
  EXPECT_THAT(summary.out, HasSubstr("\nfeatures    flatten, 2 values\n"));
  EXPECT_THAT(run({"summary", path, "--size", "7"}).err,
              HasSubstr("small.onnx: is for images of 6 x 6 px alone, got 7 x 7"));

  // Numbers that are not finite are found by reading them.
  const auto broken = run({"check", folder_.write("nan.onnx", small_onnx(NAN))});
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_THAT(broken.err, HasSubstr("conv.weight"));
}

TEST_F(Check, AFileAloneLacksWhatItsFolderTells) {
  const auto result = run({"check", model() + "/model.safetensors"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(
      result.out,
      HasSubstr("guessed: nothing specifies how many heads its attention has: a stage needs `heads`"));
  EXPECT_EQ(run({"check", model() + "/model.safetensors", "--heads", "2"}).exit_code, 0);
}

TEST_F(Check, AConfigThatLeavesItToTheNetworkAgrees) {
  const auto result = run({"check", model(), "--config", config("", "")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, EndsWith("config.yaml: agrees\n"));
}

TEST_F(Check, WhereAConfigDisagreesWithTheOwner) {
  const auto result =
      run({"check", model(), "--config",
           config(", with: {resize: 12, crop: 12, filter: bilinear}", ", normalize: tf, pool: avg")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(
      result.out,
      EndsWith(
          "config.yaml: disagrees\n"
          "  features: pool: avg, where the owner's features are pooled by cls; leave `pool` out for those\n"
          "  features: normalize: tf, where the network was trained with: shorter side to 13 px (bicubic), "
          "crop 12 px, mean 0.5, std 0.5; leave `normalize` out\n"
          "  pixels: images are not prepared as the network's were: resize: 12 (13), filter: bilinear "
          "(bicubic); leave these out: the network decides then\n"));
}

TEST_F(Check, WeightsOfNoFamily) {
  const auto result = run({"check", kData + "types.pth"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err,
              HasSubstr("fit no architecture that graft knows (graft model list) and no family (graft "
                        "model list --families)"));
}

TEST(List, NamesTheFamilies) {
  EXPECT_THAT(
      run({"list", "--families"}).out,
      StartsWith(
          "ViT: DeiT, DINOv2 with and without registers, DINOv3, the image towers of CLIP and SigLIP, and "
          "ViTs of other sizes such as UNI and Virchow\n"
          "  known by a tensor whose name ends with patch_embed.proj.weight, or "));
  EXPECT_EQ(
      Value::from_json(run({"list", "--families", "--json"}).out).as_list()[0].find("name")->as_string(),
      "ViT");
}

TEST(CommandLine, FaultsSayWhatIsKnown) {
  const auto wrong = [](const std::vector<std::string>& words) {
    const auto result = run(words);
    EXPECT_EQ(result.exit_code, 2);
    return result.err.substr(0, result.err.find('\n'));
  };
  EXPECT_EQ(wrong({}), "error: no command");
  EXPECT_EQ(wrong({"sumary"}), "error: no command 'model sumary'; did you mean 'summary'?");
  EXPECT_EQ(wrong({"list", "x"}), "error: this command takes no argument");
  EXPECT_EQ(wrong({"summary"}), "error: expected one NAME or FILE, got 0");
  EXPECT_EQ(wrong({"summary", "resnet18", "--freez", "all"}),
            "error: no option '--freez'; did you mean '--freeze'?");
  EXPECT_EQ(wrong({"summary", "resnet18", "--size"}), "error: --size needs a value");
  EXPECT_EQ(wrong({"summary", "resnet18", "--size", "12x"}),
            "error: --size: expected a whole number from 1 to 16384, got '12x'");
  EXPECT_THAT(wrong({"summary", "resnet19"}),
              StartsWith("error: 'resnet19' is neither a known architecture (did you mean 'resnet18'?) nor a "
                         "file (architectures: "));
  EXPECT_EQ(wrong({"summary", kData + "types.pth", "--width", "3"}),
            "error: --width goes with the name of an architecture; for a file, its tensors determine it");
  EXPECT_THAT(wrong({"fetch", "resnet20"}),
              StartsWith("error: there are no published weights of 'resnet20'"));
  EXPECT_THAT(run({"--help"}).out, HasSubstr("graft model fetch NAME"));
  EXPECT_THAT(test::run_program({"--help"}).out, HasSubstr("model COMMAND"));
  EXPECT_THAT(test::run_program({"--json", "model", "list"}).err, HasSubstr("graft model list --json"));
}

// --- fetch -----------------------------------------------------------------------------------------------

/// Fetches a checkpoint of seven bytes, whose SHA-256 is known.
class Fetch : public ::testing::Test {
 protected:
  static constexpr const char* kContent = "weights";
  static constexpr const char* kFile = "tiny-9a129038.pth";
  static constexpr const char* kDigest = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c";

  // A proxy of the environment does not reach this machine's loopback device.
  Fetch() { ::setenv("no_proxy", "*", 1); }

  std::filesystem::path fetch(const HttpServer& server) {
    return fetch_checkpoint({"tiny", kFile, kDigest, 7, 7}, folder(), server.url());
  }
  std::filesystem::path folder() const { return scratch_ / "models/deep"; }
  std::size_t files() const {
    const std::filesystem::directory_iterator all(folder());
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }

  TempFolder scratch_;
};

TEST_F(Fetch, PlacesTheFileAndKeepsIt) {
  const HttpServer server(HttpServer::ok(kContent));
  EXPECT_EQ(fetch(server), folder() / kFile);
  EXPECT_EQ(test::slurp(folder() / kFile), kContent);
  EXPECT_EQ(sha256_of_file(folder() / kFile), kDigest);
  EXPECT_EQ(server.calls(), 1);
  EXPECT_EQ(fetch(server), folder() / kFile);
  EXPECT_EQ(server.calls(), 1);
  EXPECT_EQ(files(), 1u);
}

TEST_F(Fetch, ReplacesADamagedFile) {
  const HttpServer server(HttpServer::ok(kContent));
  scratch_.write(std::string("models/deep/") + kFile, "weightz");
  fetch(server);
  EXPECT_EQ(test::slurp(folder() / kFile), kContent);
}

TEST_F(Fetch, FollowsARedirection) {
  const HttpServer target(HttpServer::ok(kContent));
  const HttpServer server("HTTP/1.1 302 Found\r\nLocation: " + target.url() +
                          "/x\r\nContent-Length: 0\r\n\r\n");
  fetch(server);
  EXPECT_EQ(test::slurp(folder() / kFile), kContent);
}

TEST_F(Fetch, AWrongDigestIsRefused) {
  const HttpServer server(HttpServer::ok("weightz"));
  EXPECT_EQ(
      error_of([&] { fetch(server); }),
      server.url() + "/" + kFile + ": expected a file whose SHA-256 is " + kDigest + ", got " +
          "77231fd145baf43cce88aa1bc4427f7b3b8bd702978faa4632f57ddded6e2a8f: the server sent something else; "
          "nothing was kept");
  EXPECT_EQ(files(), 0u);
}

// Found by search: it has the 32 bits that are in the name.
TEST_F(Fetch, AForgedFileWithTheDigitsOfTheNameIsRefused) {
  const HttpServer server(HttpServer::ok("weights"));
  const Checkpoint checkpoint{"tiny", kFile, "9a129038" + std::string(56, '0'), 7, 7};
  EXPECT_THAT(error_of([&] { fetch_checkpoint(checkpoint, folder(), server.url()); }),
              HasSubstr(": the server sent something else; nothing was kept"));
  EXPECT_EQ(files(), 0u);
}

TEST_F(Fetch, WhereTheDigestIsNotKnownItIsAskedForOrConsentIs) {
  const auto fault = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"fetch", "vgg11"});
    const auto result = run(words);
    EXPECT_EQ(result.exit_code, 2);
    return result.err.substr(0, result.err.find('\n'));
  };
  EXPECT_EQ(fault({}),
            "error: graft knows 32 of the 256 bits of the SHA-256 of vgg11-8a719046.pth, those in its name: "
            "another "
            "file that has them is made in minutes. Give the whole one with --sha256 DIGEST, or, where you "
            "trust the "
            "server, --trust-name");
  EXPECT_EQ(fault({"--sha256", "8a719046"}),
            "error: --sha256: expected 64 hexadecimal digits, got '8a719046'");
  const std::string other(64, 'a');
  EXPECT_EQ(fault({"--sha256", other}),
            "error: --sha256: that of vgg11-8a719046.pth begins with 8a719046, got " + other);
  const HttpServer server(HttpServer::ok(kContent));
  fetch_checkpoint({"tiny", kFile, "", 0, 100}, folder(), server.url());
  EXPECT_EQ(test::slurp(folder() / kFile), kContent);
}

TEST_F(Fetch, OnlyHttpsAndThisMachineAreSafe) {
  for (const char* url : {"https://download.pytorch.org/models", "http://127.0.0.1:80", "http://[::1]:80/x",
                          "http://localhost"})
    EXPECT_TRUE(is_safe_address(url)) << url;
  for (const char* url :
       {"http://download.pytorch.org", "http://127.0.0.1.example.org", "http://127.0.0.1@example.org",
        "http://localhost:80@example.org", "ftp://127.0.0.1", "file:///etc/passwd", "x", ""})
    EXPECT_FALSE(is_safe_address(url)) << url;
  const auto result = run({"fetch", "resnet18", "--url", "http://example.org", "--to", folder()});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, StartsWith("error: --url, GRAFT_MODEL_URL: expected an https address, got "
                                     "'http://example.org': "));
}

TEST_F(Fetch, ARedirectionToAnUnsafeAddressIsNotFollowed) {
  const HttpServer server(
      "HTTP/1.1 302 Found\r\nLocation: http://example.org/x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(error_of([&] { fetch(server); }),
              HasSubstr(": it was sent on to http://example.org/x, which is not https\n"));
  EXPECT_EQ(files(), 0u);
}

TEST_F(Fetch, ACircleOfRedirectionsEnds) {
  const HttpServer server("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(error_of([&] { fetch(server); }), HasSubstr(": it was sent on more than 5 times\n"));
  EXPECT_EQ(server.calls(), 6);
}

TEST(Checkpoints, DigestsAreWholeAndAgreeWithTheNames) {
  std::size_t known = 0;
  for (const Checkpoint& c : checkpoints()) {
    EXPECT_GT(c.most_bytes, 0u) << c.file;
    EXPECT_LE(c.bytes, c.most_bytes) << c.file;
    if (c.sha256.empty()) continue;
    ++known;
    EXPECT_EQ(c.sha256.size(), 64u) << c.file;
    EXPECT_EQ(c.sha256.find_first_not_of("0123456789abcdef"), std::string::npos) << c.file;
    EXPECT_THAT(c.sha256, StartsWith(c.name_digest()));
  }
  EXPECT_EQ(known, 10u);
}

TEST_F(Fetch, EveryFaultSaysWhatToDo) {
  const std::string cure = "\n  fetch it by other means and place it at " + (folder() / kFile).string() +
                           " (its SHA-256 is " + kDigest +
                           "), or name a mirror with --url or GRAFT_MODEL_URL";
  const auto reason = [&](const std::string& response) {
    const HttpServer server(response);
    const std::string text = error_of([&] { fetch(server); });
    const std::string start = "cannot fetch " + server.url() + "/" + kFile + ": ";
    EXPECT_THAT(text, StartsWith(start));
    EXPECT_THAT(text, EndsWith(cure));
    EXPECT_EQ(files(), 0u);
    return text.size() < start.size() + cure.size()
               ? text
               : text.substr(start.size(), text.size() - start.size() - cure.size());
  };
  EXPECT_EQ(reason("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n"),
            "The requested URL returned error: 404");
  EXPECT_THAT(reason("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhalf"),
              HasSubstr("with 3 bytes"));  // libcurl has changed its words
  EXPECT_EQ(reason(HttpServer::ok("a page that says: log in first")), "it has 30 bytes, expected 7");
  EXPECT_EQ(reason(HttpServer::ok("")), "it has 0 bytes, expected 7");
  EXPECT_EQ(reason(""), "Empty reply from server");
  EXPECT_EQ(reason("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"),
            "it was sent on to file:///etc/passwd, which is not https");
  EXPECT_EQ(reason("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx"),
            "it has 99999999999 bytes, expected 7");
  EXPECT_EQ(reason("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nweights and more"),
            "it is larger than 7 bytes");
}

TEST_F(Fetch, WithoutAServerTheProgramSaysWhatToFetch) {
  const std::string url = HttpServer("").url();  // gone at the end of this line
  const auto result =
      run({"fetch", "resnet18"}, {"GRAFT_MODELS=" + folder().string(), "GRAFT_MODEL_URL=" + url + "/"});
  EXPECT_EQ(result.exit_code, 1);
  const std::string file = url + "/resnet18-f37072fd.pth";
  EXPECT_THAT(result.err, StartsWith("fetching " + file + "\nerror: cannot fetch " + file + ": "));
  EXPECT_THAT(result.err,
              EndsWith("\n  fetch it by other means and place it at " +
                       (folder() / "resnet18-f37072fd.pth").string() +
                       " (its SHA-256 is f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec), "
                       "or name a mirror "
                       "with --url or GRAFT_MODEL_URL\n"));
  EXPECT_THAT(run({"fetch", "resnet18", "--url", "ftp://127.0.0.1", "--to", folder()}).err,
              HasSubstr("expected an https address, got 'ftp://127.0.0.1'"));
}

TEST_F(Fetch, StopsAtTheLimit) {
  // Without Content-Length the size shows only as it comes.
  const HttpServer server("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + std::string(100'000, 'x'));
  EXPECT_EQ(error_of([&] {
              download(server.url(), scratch_ / "file", {50'000, 0}, [](std::uint64_t, std::uint64_t) {});
            }),
            "it is larger than 50000 bytes");
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "file"));
}

TEST(Quantities, NumbersAreShort) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(25'557'032), "25,557,032");
  EXPECT_EQ(with_unit(0), "");
  EXPECT_EQ(with_unit(980), "980");
  EXPECT_EQ(with_unit(4'089'184'256), "4.09 G");
  EXPECT_EQ(bytes_text(40), "40 B");
  EXPECT_EQ(bytes_text(102'228'128), "97.5 MiB");
  EXPECT_EQ(extents_text({}), "scalar");
  EXPECT_EQ(extents_text({64, 3}), "64 x 3");
}

}  // namespace
}  // namespace graft::model
