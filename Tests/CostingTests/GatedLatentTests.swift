import Documents
import TestSupport
import Testing
import Training

@testable import Costing

/// Attention whose output is gated, and experts that read narrow vectors: parameters, work, what is sent and what is kept.
@Suite struct GatedLatentTests {
  static let h = 512, a = 8, d = 64, kv = 2, layers = 4, E = 8, k = 2, f = 256, shared = 384, latent = 128

  private static func model(isGated: Bool = false, latentSize: Int? = nil) throws -> ModelDescription {
    var experts = ModelDescription.Experts(count: E, perToken: k, feedForwardSize: f)
    experts.sharedFeedForwardSize = shared
    experts.latentSize = latentSize
    var form = ModelDescription.Form(norm: .rms, hasRotaryPositions: true)
    form.hasOutputGate = isGated
    return try ModelDescription(
      name: "model", family: .llama, layerCount: layers, hiddenSize: h, headCount: a, keyValueHeadCount: kv,
      headSize: d,
      feedForwardSize: 1_024, vocabularySize: 1_024, hasGatedFeedForward: true, hasTiedEmbeddings: false,
      experts: experts, form: form)
  }

  private static func recipe(_ model: ModelDescription) throws -> Recipe {
    let job = try TrainingJob(model: model, sequenceLength: 128, globalBatch: 32)
    var strategy = Strategy(mesh: [.data: 4], microBatch: 2, usesFlashAttention: true)
    strategy.expertDegree = 4
    return Recipe(job: job, strategy: strategy, vocabularySize: 1_024)
  }

  /// FLOP of products, bytes kept and elements sent to experts in a block's forward pass.
  private static func sums(_ recipe: Recipe) -> (flop: Double, kept: Int, freed: Int, sent: Int) {
    var flop = 0.0, kept = 0, freed = 0, sent = 0
    for pass in [Recipe.Pass.forward, .backward] {
      for step in recipe.steps(.expertBlock, pass) {
        switch step {
        case .collective(let it): if it.operand == .routed(.tokens), pass == .forward { sent += it.elementCount }
        case .piece(_, let operations):
          for operation in operations {
            switch operation {
            case .product(let layer, .forward): flop += layer.forwardFLOP
            case .groupedProduct(let layer, .forward): flop += layer.forwardFLOP
            case .keep(let tensor): kept += tensor.byteCount
            case .free(let tensor): freed += tensor.byteCount
            default: break
            }
          }
        }
      }
    }
    return (flop, kept, freed, sent)
  }

  static let tokens = 2 * 128

  @Test func aGateIsAsWideAsWhatItGates() throws {
    let plain = try Self.model(), gated = try Self.model(isGated: true), width = Self.a * Self.d
    #expect(gated.parameterCount - plain.parameterCount == Self.layers * Self.h * width)
    #expect(
      gated.modelFLOP(sequenceLength: 128, sequenceCount: 1) - plain.modelFLOP(sequenceLength: 128, sequenceCount: 1)
        == 6 * 128 * Double(Self.layers * Self.h * width))
    let one = Self.sums(try Self.recipe(plain)), other = Self.sums(try Self.recipe(gated))
    #expect(other.flop - one.flop == 2 * Double(Self.tokens * Self.h * width))
    // What gates, and what it gates.
    #expect(other.kept - one.kept == 2 * 2 * Self.tokens * width)
    #expect(other.kept == other.freed && other.sent == one.sent)
    #expect(
      gated.layerMatrices(.dense, tensorDegree: 2).reduce(0) { $0 + $1.count }
        - plain.layerMatrices(.dense, tensorDegree: 2).reduce(0) { $0 + $1.count } == Self.h * width / 2)
  }

  @Test func expertsOfNarrowVectorsAreSentNarrowVectors() throws {
    let plain = try Self.model(), narrow = try Self.model(latentSize: Self.latent)
    let ofExperts = Self.E * 3 * Self.f * (Self.h - Self.latent), besides = 2 * Self.h * Self.latent
    #expect(plain.parameterCount - narrow.parameterCount == Self.layers * (ofExperts - besides))
    #expect(
      plain.activeParameterCount(withEmbedding: true) - narrow.activeParameterCount(withEmbedding: true)
        == Self.layers * (ofExperts / Self.E * Self.k - besides))
    #expect(
      plain.modelFLOP(sequenceLength: 128, sequenceCount: 1) - narrow.modelFLOP(sequenceLength: 128, sequenceCount: 1)
        == 6 * 128 * Double(Self.layers * (ofExperts / Self.E * Self.k - besides)))
    let one = Self.sums(try Self.recipe(plain)), other = Self.sums(try Self.recipe(narrow))
    let rows = Self.tokens * Self.k
    #expect(one.sent == rows * Self.h && other.sent == rows * Self.latent)
    #expect(one.flop - other.flop == 2 * Double(rows * 3 * Self.f * (Self.h - Self.latent) - Self.tokens * besides))
    // Narrower rows come, and what experts give together waits for its product.
    #expect(one.kept - other.kept == 2 * rows * (Self.h - Self.latent) - 2 * Self.tokens * Self.latent)
    #expect(other.kept == other.freed)
  }

  @Test func bothAreReadAsTheyAreWritten() throws {
    let model = try Self.model(isGated: true, latentSize: 128)
    let read = try ModelDescription(Field(model.json, source: "test"))
    #expect(read == model && read.form.hasOutputGate && read.experts?.latentSize == 128)
  }
}
