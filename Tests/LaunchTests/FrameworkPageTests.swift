import Documents
import Foundation
import JSONText
import TestSupport
import Testing

/// `docs/frameworks.md` says of every framework what its table says.
@Suite struct FrameworkPageTests {
  private static let path = "\(Shipped.root)/docs/frameworks.md"
  private static let mark = "\n## "

  /// With `RECORD_GOLDEN=1` the sections are written anew, and the run fails.
  @Test func thePageSaysWhatTheTablesSay() throws {
    let page = try String(contentsOfFile: Self.path, encoding: .utf8)
    let introduction = page.components(separatedBy: Self.mark)[0]
    let wanted = introduction + Capabilities.all.map { Self.mark + Self.section($0) }.joined()
    guard wanted != page else { return }
    if ProcessInfo.processInfo.environment["RECORD_GOLDEN"] == "1" {
      try wanted.write(toFile: Self.path, atomically: true, encoding: .utf8)
      Issue.record("docs/frameworks.md is written anew")
    } else {
      Issue.record("docs/frameworks.md is not what the tables say; RECORD_GOLDEN=1 writes it anew")
    }
  }

  @Test func theSchemasNameEveryFramework() throws {
    func names(_ file: String, _ place: [String]) throws -> [JSON] {
      var json = try JSON(parsing: readFile(at: "\(Shipped.root)/docs/schemas/\(file)", maximumByteCount: 1 << 20))
      for key in place {
        guard case .object(let members) = json else { break }
        json = try #require(members.first { $0.key == key }?.value)
      }
      guard case .array(let names) = json else { return [] }
      return names
    }
    #expect(
      try names("plan.schema.json", ["properties", "question", "properties", "framework", "enum"])
        == FrameworkChoice.names.map { .string($0) })
    #expect(
      try names("configuration.schema.json", ["properties", "framework", "enum"])
        == Capabilities.all.map { .string($0.name) })
  }

  private static func section(_ table: Capabilities) -> String {
    let modelled = table.recomputations.compactMap { kind in kind.recompute.map { "\(kind.words) (`\($0.rawValue)`)" } }
    let others = table.recomputations.filter { $0.recompute == nil }.map(\.words)
    let lacking = table.models.lacking.map(\.rawValue).sorted()
    var rows: [(String, String)] = [
      ("axes", Mesh.Axis.allCases.filter(table.axes.contains).map(\.name).joined(separator: ", ")),
      ("interleaved stages", table.interleaving.rawValue),
      (
        "split backward passes",
        table.splitBackward.map { "\($0.words) (`\($0.name)`)" }.joined(separator: "; ")
      ),
      (
        "layers of a stage",
        table.layerSplit == .any
          ? "as the plan says" + (table.limits.interleavesUnevenChunks ? ", of each interleaved chunk, or none" : "")
          : "the framework's own rule"
      ),
      ("recomputation", modelled.joined(separator: "; ")),
      ("recomputation that is not modelled", others.joined(separator: "; ")),
      ("some layers of a stage recomputed", table.recomputesSomeLayers ? "yes, each stage its own number" : "no"),
      ("optimizer states off the device between steps", table.offloadsOptimizerStates ? "yes" : "no"),
      ("on the host", table.hosting.map(words) ?? ""),
      ("replicas divide", table.shardings.map(words).joined(separator: "; ")),
      ("sequence parallelism", table.sequenceParallelism.rawValue),
      (
        "tensor exchanges beside products",
        table.tensorOverlap.map(words) ?? ""
      ),
      (
        "sequences divided among ranks",
        table.contextExchanges.map { "\($0.words) (`\($0.exchange.rawValue)`)" }.joined(separator: "; ")
          + (table.limits.dividesStatesAlongSequences ? ", which divide states as well" : "")
          + (table.limits.dividesSequencesWithoutTensorGroups ? ", without tensor groups" : "")
      ),
      ("experts divided among ranks", table.experts.map(words) ?? ""),
      ("precision", table.precisions.map(\.rawValue).joined(separator: ", ")),
      (
        "weights in the format of products",
        table.narrowWeights.map { offer in
          "\(offer.words) (\(offer.precisions.map(\.rawValue).joined(separator: ", ")))"
            + (offer.withoutGathers ? "" : ", where replicas divide states")
            + (offer.withHostUpdate.isEmpty
              ? "" : ", updated by the host in \(offer.withHostUpdate.map(\.rawValue).joined(separator: ", "))")
        } ?? ""
      ),
      ("layers at the ends in bf16", table.wideLayerPrecisions.map { "beside \($0.rawValue)" }.joined(separator: ", ")),
      ("output head narrower than bf16", table.narrowHeadPrecisions.map(\.rawValue).joined(separator: ", ")),
      ("FP8 without a recipe", table.precisions.contains(table.plainFP8) ? table.plainFP8.rawValue : ""),
      ("gradients accumulated in", table.gradientAccumulation.rawValue),
      ("optimizers", table.optimizers.map(words).joined(separator: "; ")),
      ("models", table.models.words),
      ("models without", lacking.joined(separator: "; ")),
      ("models with", numbers(of: table.models)),
      ("priced with the coefficients of", table.coefficientNames.joined(separator: ", else ")),
    ]
    rows.append(("not together", limits(table.limits).joined(separator: "; ")))
    return "\(table.title), \(table.version) (`\(table.name)`)\n\n| | |\n|---|---|\n"
      + rows.filter { !$0.1.isEmpty }.map { "| \($0.0) | \($0.1) |\n" }.joined()
  }

  /// Single models' numbers that it can be told.
  private static func numbers(of models: Capabilities.Models) -> String {
    var words: [String] = []
    for particular in ModelDescription.Particular.allCases where models.particulars.contains(particular) {
      if !words.contains(particular.words) { words.append(particular.words) }
    }
    return words.joined(separator: "; ")
  }

  private static func words(_ offer: Capabilities.TensorOverlapOffer) -> String {
    if offer.isAlways { return "\(offer.words), always with sequence parallelism" }
    return "\(offer.words), with sequence parallelism"
      + (offer.precisions == Precision.allCases
        ? "" : " in \(offer.precisions.map(\.rawValue).joined(separator: ", "))")
      + (offer.ofUsualProductsOnly ? ", not with latent attention or further predictions" : "")
  }

  private static func words(_ offer: Capabilities.ExpertOffer) -> String {
    let dispatchers = offer.dispatchers.map { "`\($0.rawValue)`" }.joined(separator: ", ")
    let width =
      switch offer.widths {
      case .whole: ""
      case .any: "; the width of experts"
      case .asTensorGroupsOrWhole: "; the width of experts by tensor groups where no ranks divide experts (`allgather`)"
      }
    return "\(offer.words) (tokens by \(dispatchers)\(width))"
      + (offer.overlaps ? ", their way under another micro-batch" : "")
      + (offer.liesWithinShards ? ", among ranks that divide states and their tensor groups" : "")
      + (offer.withoutTensorGroups ? ", without tensor groups" : "")
      + (offer.dividesWeightsAmongAll ? ", weights divided among all replicas and of whole sequences, if at all" : "")
      + (offer.hasOtherExperts ? "" : ", experts of three matrices")
      + (offer.unpadded.isEmpty
        ? "" : ", without FP8 by \(offer.unpadded.map { "`\($0.rawValue)`" }.joined(separator: ", "))")
  }

  private static func words(_ offer: Capabilities.ShardingOffer) -> String {
    var notes: [String] = []
    if !offer.withTensorParallelism { notes.append("without tensor groups") }
    if !offer.withPipeline { notes.append("without a pipeline") }
    if !offer.withoutPipeline { notes.append("with a pipeline") }
    if offer.withSecondaryCopy { notes.append("second copies of the weights") }
    if offer.withQuantisation { notes.append("quantised collectives") }
    return "\(offer.words) (\(([offer.form.rawValue] + notes).joined(separator: ", ")))"
  }

  private static func words(_ offer: Capabilities.HostingOffer) -> String {
    let updates: String? =
      switch offer.updates {
      case .parts: "any part of the update"
      case .wholeOrPartsOfZeRO3: "the update, any part of it under ZeRO 3"
      case .withWeights: "the update together with the weights"
      case .never: nil
      }
    let activations: String? =
      switch offer.activations {
      case .none: nil
      case .keptWithoutPipeline: "activations without pipeline and recomputation"
      case .blockInputs: "inputs of recomputed blocks"
      }
    let weights = offer.holdsWeights && offer.updates != .withWeights ? "weights" : nil
    return "\(offer.words) (\([updates, weights, activations].compactMap { $0 }.joined(separator: "; ")))"
  }

  private static func words(_ offer: Capabilities.OptimizerOffer) -> String {
    var notes: [String] = []
    if offer.rules != Optimizer.Rule.allCases {
      notes.append(offer.rules.map { "`\($0.rawValue)`" }.joined(separator: ", "))
    }
    if offer.moments != [.fp32] { notes.append("moments \(offer.moments.map(\.rawValue).joined(separator: ", "))") }
    if offer.masterWeights != [.fp32] {
      notes.append("master weights \(offer.masterWeights.map(\.rawValue).joined(separator: ", "))")
    }
    if offer.isPaged { notes.append("also paged") }
    if offer.needsShards { notes.append("where replicas divide states") }
    if offer.keepsGradientsInWeightFormat { notes.append("gradients in the weights' format") }
    return "\(offer.words) (\(notes.joined(separator: "; ")))"
  }

  private static func limits(_ limits: Capabilities.Limits) -> [String] {
    [
      limits.hasUnfusedAttention ? nil : "attention that is not fused, at all",
      limits.attentionWindows == .never ? "sequences longer than a model's window of attention" : nil,
      limits.attentionWindows == .inEveryLayer ? "sequences longer than a window of some layers" : nil,
      limits.tiesEmbeddingsInPipeline ? nil : "tied embeddings and a pipeline",
      limits.compilesNarrowProducts ? "products in FP8 and split backward passes" : nil,
      limits.predictsFurtherBesideOtherAxes
        ? nil : "layers that predict further tokens and a pipeline, or divided sequences",
      limits.accumulatesWholeGradientsInFP32 ? nil : "whole replicas and gradients in fp32 under 16-bit weights",
      limits.overlapsShardedGradientsAlways ? "divided gradients and a reduction after the backward pass" : nil,
      limits.microBatchesFewerThanStages.map { "micro-batches fewer than stages by more than \($0)" },
      limits.shardedChunkCount.map { "shards and more than \($0) chunks a stage" },
    ].compactMap { $0 }
  }
}
