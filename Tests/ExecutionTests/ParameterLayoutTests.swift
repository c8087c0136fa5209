import Documents
import TestSupport
import Testing
import Training

@testable import Execution

@Suite struct ParameterLayoutTests {
  static let shippedModels = [
    "gpt2", "gpt3-175b", "llama-2-70b", "llama-2-7b", "llama-3-70b", "llama-3-8b", "megatron-145b", "megatron-1t",
    "megatron-22b", "megatron-530b", "mistral-7b", "opt-175b", "qwen2-7b", "qwen3-8b",
  ]

  @Test func everyShippedModelHasTheParametersThatItsDescriptionCounts() throws {
    let models = try Self.shippedModels.map { try Shipped.catalog.model($0) } + SmallModels.all()
    for model in models {
      for degree in [1, 2, 4, 8] where model.keyValueHeadCount % degree == 0 && model.feedForwardSize % degree == 0 {
        let vocabulary = model.paddedVocabularySize(multiple: 128, tensorDegree: degree)
        let shard = ModelShard(
          model: model, sequenceLength: 8, tensorDegree: degree, tensorIndex: degree - 1,
          paddedVocabularySize: vocabulary, seed: 1)
        let layer = ParameterLayout(.layer(0), shard: shard)
        #expect(layer.count == model.layerParameters(.dense).perRank(tensorDegree: degree), "\(model.name)")
        #expect(layer.replicatedRange.count == model.layerParameters(.dense).replicated, "\(model.name)")
        #expect(Self.productCount(layer) == model.layerProductParameters(.dense).perRank(tensorDegree: degree))
        let embedding = ParameterLayout(.embedding, shard: shard)
        #expect(
          embedding.count == model.embeddingParameters(vocabularySize: vocabulary).perRank(tensorDegree: degree))
        let head = ParameterLayout(.head, shard: shard, ownsOutputMatrix: !model.hasTiedEmbeddings)
        #expect(head.count == model.headParameters(vocabularySize: vocabulary).perRank(tensorDegree: degree))
        let copy = ParameterLayout(.head, shard: shard, ownsOutputMatrix: true)
        #expect(copy.count == vocabulary / degree * model.hiddenSize + head.replicatedRange.count)
      }
    }
  }

  /// Elements of the matrices that a rank casts.
  private static func productCount(_ layout: ParameterLayout) -> Int {
    layout.tensors.filter(\.name.isOfLinearLayer).reduce(0) { $0 + $1.range.count }
  }

  /// What is counted as weights of products is what ranks cast: of latent attention, gated heads, experts of every kind and
  /// further predictions.
  @Test(arguments: [1, 2])
  func productsAreWhatIsCast(degree: Int) throws {
    for kind in SmallModels.ExpertKind.allCases {
      for width in [nil, 6] {
        let model = try SmallModels.mixture(kind, narrowWidth: width)
        let shard = ModelShard(
          model: model, sequenceLength: 8, tensorDegree: degree, tensorIndex: degree - 1, seed: 4)
        let counted = model.layerProductParameters(.experts)
        let layer = (0..<model.layerCount).first { model.kind(ofLayer: $0).feedForward == .experts }
        #expect(
          try Self.productCount(ParameterLayout(.layer(#require(layer)), shard: shard))
            == counted.perRank(tensorDegree: degree), "\(kind)")
        let experts = ParameterLayout(experts: 0..<1, ofLayer: try #require(layer), model, degree: degree)
        #expect(
          try Self.productCount(experts)
            == counted.ofExpertsPerRank(expertDegree: #require(model.experts).count, expertTensorDegree: degree))
        guard model.predictionDepth > 0 else { continue }
        #expect(
          Self.productCount(ParameterLayout(.prediction(model.layerCount), shard: shard))
            == model.predictionProductParameters.perRank(tensorDegree: degree), "\(kind)")
      }
    }
  }

  @Test(arguments: try SmallModels.all())
  func initialShardsAreOfTheSameTensorsHoweverDivided(model: ModelDescription) {
    let full = Self.layouts(model, degree: 1, vocabulary: 20)
    for degree in [2, 4] {
      let ranks = (0..<degree).map { Self.layouts(model, degree: degree, index: $0, vocabulary: 32) }
      for part in full.indices {
        let shards = ranks.map { (layout: $0[part], values: $0[part].initialValues(seed: 9)) }
        #expect(ParameterComparison.assembled(shards: shards, as: full[part]) == full[part].initialValues(seed: 9))
      }
    }
  }

  @Test func aCopyOfTheEmbeddingStartsAsTheEmbedding() throws {
    let layouts = Self.layouts(try SmallModels.gpt(), degree: 2, index: 1, vocabulary: 20)
    let copy = try #require(layouts.last)
    #expect(
      copy.initialValues(seed: 4)[copy[.outputMatrix]]
        == layouts[0].initialValues(seed: 4)[layouts[0][.tokenEmbedding]])
  }

  @Test func valuesDependOnSeedPartAndTensor() throws {
    let layouts = Self.layouts(try SmallModels.llama(), degree: 1, vocabulary: 20)
    let first = layouts[1].initialValues(seed: 1)
    #expect(first != layouts[1].initialValues(seed: 2))
    #expect(first != layouts[2].initialValues(seed: 1))
    #expect(first[layouts[1][.keyWeight]] != first[layouts[1][.valueWeight]])
    let weights = first[layouts[1][.queryWeight]]
    // 512 uniform numbers of variance 1/16.
    let mean = weights.reduce(0, +) / 512, square = weights.reduce(0) { $0 + $1 * $1 } / 512
    #expect(abs(mean) < 0.04)
    #expect(abs(square - 0.0625) < 0.01)
  }

  @Test func gradientsThatAreSumsOverTheGroup() throws {
    let gpt = Self.layouts(try SmallModels.gpt(), degree: 2, vocabulary: 20)
    #expect(gpt[1].partialRange(usesSequenceParallelism: false) == nil)
    #expect(gpt[1].partialRange(usesSequenceParallelism: true) == gpt[1].replicatedRange)
    #expect(gpt[0].partialRange(usesSequenceParallelism: true)?.count == 8 * 16)
    let qwen = Self.layouts(try SmallModels.qwen3(), degree: 2, vocabulary: 20)
    #expect(qwen[1].partialRange(usesSequenceParallelism: false)?.count == 12)
    #expect(qwen[0].partialRange(usesSequenceParallelism: true) == nil)
    let alone = Self.layouts(try SmallModels.qwen3(), degree: 1, vocabulary: 20)
    #expect(alone[1].partialRange(usesSequenceParallelism: true) == nil)
  }

  @Test func relativeErrorIsOfTheLargestMagnitude() {
    #expect(ParameterComparison.relativeError([1, 2], reference: [1, 2]) == 0)
    #expect(ParameterComparison.relativeError([0, 0], reference: [0, 0]) == 0)
    #expect(ParameterComparison.relativeError([1, 5], reference: [2, 4]) == 0.25)
    #expect(ParameterComparison.relativeError([1, .nan], reference: [1, 1]) == .infinity)
  }

  private static func layouts(
    _ model: ModelDescription, degree: Int, index: Int = 0, vocabulary: Int
  ) -> [ParameterLayout] {
    let shard = ModelShard(
      model: model, sequenceLength: 8, tensorDegree: degree, tensorIndex: index, paddedVocabularySize: vocabulary,
      seed: 1)
    let parts = [.embedding] + (0..<model.layerCount).map(ModelPart.layer) + [.head]
    return parts.map { ParameterLayout($0, shard: shard) }
  }
}
