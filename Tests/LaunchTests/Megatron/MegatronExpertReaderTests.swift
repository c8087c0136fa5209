import Documents
import JSONText
import TestSupport
import Testing

@testable import Launch

/// What Megatron-LM's users state of experts, latent attention and further predictions, and the groups that follow.
@Suite struct MegatronExpertReaderTests {
  private func read(_ text: String, devices: Int? = 16) throws -> RunConfiguration {
    try MegatronLMTarget.configuration(in: [LaunchFile(name: "arguments.txt", text: text)], deviceCount: devices)
  }

  // MARK: Groups

  private static let staged =
    "--tensor-model-parallel-size 2 --pipeline-model-parallel-size 2 --expert-tensor-parallel-size 1 --expert-model-parallel-size 4"
  private static let folded =
    "--tensor-model-parallel-size 2 --context-parallel-size 2 --expert-tensor-parallel-size 1 --expert-model-parallel-size 8"
  private static let wide = "--tensor-model-parallel-size 2 --expert-model-parallel-size 2"

  /// Ranks as Megatron-LM's two generators number them, worked out by hand.
  @Test(arguments: [
    (staged, 16, "expert", [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]),
    (staged, 16, "expert_data", [[0, 4], [1, 5], [2, 6], [3, 7], [8, 12], [9, 13], [10, 14], [11, 15]]),
    (folded, 8, "expert", [[0, 1, 2, 3, 4, 5, 6, 7]]), (folded, 8, "context", [[0, 2], [1, 3], [4, 6], [5, 7]]),
    // The width of experts is divided by the tensor groups where nothing is said of it.
    (wide, 8, "expert_tensor", [[0, 1], [2, 3], [4, 5], [6, 7]]),
    (wide, 8, "expert", [[0, 2], [1, 3], [4, 6], [5, 7]]),
    (wide, 8, "expert_data", [[0, 4], [1, 5], [2, 6], [3, 7]]),
  ])
  func groupsOfExpertsAreMegatrons(flags: String, devices: Int, axis: String, groups: [[Int]]) throws {
    let run = try read("\(Self.shape) --num-experts 8 --sequence-parallel \(flags)", devices: devices)
    #expect(MegatronLMTarget.groups(of: run)[axis] == groups)
  }

  // MARK: Reading

  private static let shape = """
    --num-layers 8 --hidden-size 256 --ffn-hidden-size 512 --num-attention-heads 4 --seq-length 512
    --max-position-embeddings 512 --vocab-size 1000 --micro-batch-size 1 --global-batch-size 64 --disable-bias-linear
    --swiglu --bf16
    """

  private static func sample(_ name: String) throws -> LaunchFile {
    let path = Shipped.root + "/Tests/LaunchTests/Inputs/megatron/\(name)"
    return LaunchFile(
      name: name, text: String(decoding: try readFile(at: path, maximumByteCount: 1 << 20), as: UTF8.self))
  }

  @Test func aTestCaseOfMixtralIsRead() throws {
    let run = try MegatronLMTarget.configuration(in: [Self.sample("mixtral-of-experts.yaml")], deviceCount: 64)
    #expect(run.strategy.mesh == [.tensor: 2, .pipeline: 4, .data: 8] && run.strategy.virtualStageCount == 8)
    #expect(
      run.strategy.expertDivision
        == Strategy.ExpertDivision(expertDegree: 8, tensorDegree: 1, dispatcher: .allToAll))
    #expect(run.strategy.expertReplicaCount == 2)
    let model = try #require(run.model)
    #expect(model.parameterCount == (try Shipped.catalog.model("mixtral-8x7b").parameterCount))
    #expect(model.experts?.perToken == 2 && model.experts?.normalisesWeights == true)
  }

  @Test func aTestCaseOfDeepSeekIsRead() throws {
    let sample = try Self.sample("deepseek-of-experts.yaml")
    let run = try MegatronLMTarget.configuration(in: [sample], deviceCount: 64)
    #expect(run.strategy.mesh == [.tensor: 2, .pipeline: 4, .data: 8] && run.strategy.virtualStageCount == 2)
    #expect(run.layerCounts == [2, 2, 2, 2, 2, 2, 1, 1])
    #expect(
      run.strategy.expertDivision
        == Strategy.ExpertDivision(expertDegree: 16, tensorDegree: 1, dispatcher: .hybridEP))
    // The vocabulary is the tokenizer's.
    #expect(run.model == nil)
    let more = LaunchFile(name: "more.txt", text: "--vocab-size 129280")
    let model = try #require(try MegatronLMTarget.configuration(in: [sample, more], deviceCount: 64).model)
    let shipped = try Shipped.catalog.model("deepseek-v3")
    #expect(model.latent == shipped.latent && model.predictionDepth == 1)
    #expect(model.details.particulars == shipped.details.particulars)
    #expect(model.details.rotaryScaling?.attentionFactor == 1)
    var experts = ModelDescription.Experts(count: 64, perToken: 8, feedForwardSize: 2_048)
    experts.sharedFeedForwardSize = 2_048
    experts.hasCorrectionBias = true
    experts.score = .sigmoid
    experts.routedScale = 2.5
    experts.groups = ModelDescription.Experts.Groups(count: 8, kept: 4)
    experts.denseLayers = [0, 1, 2]
    // With softmax and its choice after it there would be no corrected scores; of sigmoids the flag says nothing.
    #expect(model.experts == experts)
  }

  @Test func whatIsNotStatedIsMegatronsDefault() throws {
    let run = try read("\(Self.shape) --num-experts 8 --tensor-model-parallel-size 2 --sequence-parallel")
    #expect(
      run.strategy.expertDivision
        == Strategy.ExpertDivision(expertDegree: 1, tensorDegree: 2, dispatcher: .allGather))
    #expect(run.model?.experts == ModelDescription.Experts(count: 8, perToken: 2, feedForwardSize: 512))
  }

  @Test(arguments: [
    ("--moe-layer-freq 2", [1, 3, 5, 7]), ("--moe-layer-freq ([0]*3+[1]*5)", [0, 1, 2]),
    ("--moe-layer-freq '([1]*3 + [0])*2'", [3, 7]), ("--moe-layer-freq [1,1,1,1,1,1,1,0]", [7]),
  ])
  func layersWithoutExpertsAreThoseOfTheFlag(flag: String, dense: [Int]) throws {
    #expect(try read("\(Self.shape) --num-experts 8 \(flag)").model?.experts?.denseLayers == dense)
  }

  @Test(arguments: [
    ("--expert-model-parallel-size 2", "--expert-model-parallel-size", "no experts"),
    ("--num-experts 8 --expert-model-parallel-size 3 --global-batch-size 48", "", "do not divide by expert 3"),
    ("--num-experts 6 --expert-model-parallel-size 4", "--expert-model-parallel-size", "6 experts do not divide"),
    ("--num-experts 8 --moe-layer-freq [1,0]", "--moe-layer-freq", "list of 8 digits"),
    ("--num-experts 8 --moe-layer-freq ([1]*4+[2]*4)", "--moe-layer-freq", "list of 8 digits"),
    ("--num-experts 8 --moe-layer-freq [1]*99999999", "--moe-layer-freq", "list of 8 digits"),
    ("--num-experts 8 --moe-router-topk 9", "--moe-router-topk", "from 1 to 8"),
    ("--num-experts 8 --moe-router-score-function sqrtsoftplus", "--moe-router-score-function", "not supported"),
    ("--num-experts 8 --moe-router-enable-expert-bias", "--moe-router-enable-expert-bias", "not corrected"),
    ("--num-experts 8 --moe-router-group-topk 2", "", "--moe-router-num-groups"),
    ("--num-experts 8 --moe-router-group-topk 2 --moe-router-num-groups 3", "", "do not divide into 3 groups"),
    ("--num-experts 8 --moe-enable-deepep", "--moe-enable-deepep", "flex"),
    ("--num-experts 8 --moe-token-dispatcher-type smoke", "--moe-token-dispatcher-type", "one of"),
    ("--num-experts 8 --moe-latent-size 64", "--moe-latent-size", "narrow vectors"),
    ("--num-experts 8 --moe-layer-freq [0,0,0,0,0,0,0,0]", "", "no layer has experts"),
    ("--multi-latent-attention", "--multi-latent-attention", "not normed"),
    ("--multi-latent-attention --qk-layernorm --group-query-attention", "--group-query-attention", "no groups"),
    (
      "--multi-latent-attention --qk-layernorm --position-embedding-type yarn", "--position-embedding-type",
      "--rope-type yarn"
    ),
    ("--mtp-num-layers 17", "--mtp-num-layers", "from 0 to 16"),
    ("--mtp-num-layers 2 --mtp-use-repeated-layer", "--mtp-use-repeated-layer", "not supported"),
    (
      "--mtp-num-layers 1 --pipeline-model-parallel-size 2 --pipeline-model-parallel-layout Et*4|t*4L",
      "--pipeline-model-parallel-layout", "0 layers that predict further tokens, --mtp-num-layers 1"
    ),
    (
      "--mtp-num-layers 1 --pipeline-model-parallel-size 2 --pipeline-model-parallel-layout Et*4m|t*4L",
      "--pipeline-model-parallel-layout", "follow all others"
    ),
    ("--softmax-type off-by-one", "--softmax-type", "not learned"),
    (
      "--num-experts 8 --expert-tensor-parallel-num-weight-shards 4", "--expert-tensor-parallel-num-weight-shards",
      "weight shards"
    ),
  ])
  func badArgumentsAreRefusedWithTheirPlace(flags: String, place: String, sentence: String) throws {
    let error = #expect(throws: DocumentError.self) { try read("\(Self.shape) \(flags)") }
    #expect(error?.location == place && error?.description.contains(sentence) == true, "\(String(describing: error))")
  }

  @Test func sharedExpertsHaveNoBiases() throws {
    let text = Self.shape.replacing("--disable-bias-linear", with: "")
    #expect(try read("\(text) --num-experts 8").model?.experts?.hasBias == true)
    let error = #expect(throws: DocumentError.self) {
      try read("\(text) --num-experts 8 --moe-shared-expert-intermediate-size 256")
    }
    #expect(error?.location == "--moe-shared-expert-intermediate-size")
  }

  @Test func nothingThatIsBrokenStopsTheReader() throws {
    var plans = try MixturePlans(seed: 21), mutator = DocumentMutator(seed: 12)
    var readCount = 0
    for _ in 0..<20 {
      let text = try MegatronLMTarget.program(of: plans.next()).files[0].text
      for _ in 0..<60 {
        let mutated = String(decoding: mutator.mutated(text: Array(text.utf8)), as: UTF8.self)
        do {
          let run = try read(mutated, devices: 32)
          _ = MegatronLMTarget.groups(of: run)
          _ = try RunConfiguration(Field(run.json, source: "run"))
          readCount += 1
        } catch { #expect(error is DocumentError && !"\(error)".contains("\n"), "\(mutated)") }
      }
    }
    #expect(readCount > 50)
  }
}
