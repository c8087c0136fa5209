import Documents
import Training

/// A number that stands for everything a rank does, whatever the types that say it are called.
///
/// It is the 64-bit FNV-1a hash (Fowler, Noll and Vo) of a text with one line a step, written here word by word:
/// default descriptions of values would change with their names.
struct ProgramDigest {
  let hexadecimal: String

  init(_ program: RankProgram) {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    func add(_ line: String) {
      for byte in line.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }
    add("rank \(program.rank) parts \(program.parts.map(Self.words).joined(separator: ","))\n")
    for step in program.steps {
      add(
        "\(Self.words(step.stream)) \(Self.words(step.operation)) waits \(step.waitsFor.map(String.init).joined(separator: ","))\n"
      )
    }
    let digits = String(hash, radix: 16)
    hexadecimal = String(repeating: "0", count: 16 - digits.count) + digits
  }

  private static func words(_ stream: ProgramStep.Stream) -> String {
    switch stream {
    case .compute: "compute"
    case .tensor: "tensor"
    case .pipeline: "pipeline"
    case .data: "data"
    case .upload: "upload"
    case .offload: "offload"
    case .outer: "outer"
    case .gradients: "gradients"
    case .experts: "experts"
    case .context: "context"
    }
  }

  private static func words(_ operation: ProgramStep.Operation) -> String {
    switch operation {
    case .compute(let it): words(it)
    case .collective(let it):
      "\(words(it.kind)) \(it.reduction == .sum ? "sum" : "maximum") \(words(it.route)) of \(words(it.operand)) "
        + "count \(it.elementCount)x\(it.elementByteCount) as \(words(it.traffic)) "
        + "packed \(it.quantisation.map { "\($0.bitCount)/\($0.groupLength)" } ?? "no") "
        + "over \(it.group.map(String.init).joined(separator: ","))"
    case .send(let it): "send \(words(it))"
    case .receive(let it): "receive \(words(it))"
    case .upload(let it): "upload \(words(it.part)) count \(it.elementCount)x\(it.elementByteCount)"
    case .offload(let it): "offload \(words(it.part)) count \(it.elementCount)x\(it.elementByteCount)"
    }
  }

  private static func words(_ it: Transfer) -> String {
    "peer \(it.peer) from \(words(it.source)) for \(words(it.target)) count \(it.elementCount)x\(it.elementByteCount)"
  }

  private static func words(_ pass: PipelineStep) -> String {
    "\(pass.pass == .forward ? "forward" : "backward") \(pass.microBatchIndex) chunk \(pass.chunkIndex)"
  }

  private static func words(_ part: ModelPart) -> String {
    switch part {
    case .embedding: "embedding"
    case .layer(let index): "layer \(index)"
    case .experts(let index, let experts): "experts \(experts) of layer \(index)"
    case .head: "head"
    case .prediction(let index): "prediction \(index)"
    }
  }

  private static func words(_ family: Sharding.Family) -> String {
    switch family {
    case .weights: "weights"
    case .gradients: "gradients"
    case .optimizer: "optimizer"
    case .replicas: "replicas"
    case .secondary: "secondary"
    }
  }

  private static func words(_ kind: CollectiveKind) -> String {
    switch kind {
    case .allGather: "gather"
    case .reduceScatter: "scatter"
    case .allReduce: "reduce"
    case .allToAll: "exchange"
    case .shift: "shift"
    case .shiftBack: "shift back"
    }
  }

  private static func words(_ route: Route) -> String {
    switch route {
    case .ring: "ring"
    case .hierarchical(let degrees): "hierarchical \(degrees)"
    case .tree: "tree"
    case .direct: "direct"
    case .directByLevel(let degrees): "direct \(degrees)"
    }
  }

  private static func words(_ kind: TrafficKind) -> String {
    switch kind {
    case .tensor: "tensor"
    case .pipeline: "pipeline"
    case .data: "data"
    case .embedding: "embedding"
    case .control: "control"
    case .outer: "outer"
    case .context: "context"
    case .expert: "expert"
    }
  }

  private static func words(_ operand: Operand) -> String {
    switch operand {
    case .stream: "stream"
    case .branch: "branch"
    case .columnInput: "column input"
    case .joined: "joined"
    case .columns: "columns"
    case .tokenMaximum: "token maximum"
    case .tokenTarget: "token target"
    case .tokenSum: "token sum"
    case .attention(let tensor): tensor.rawValue
    case .routed(let tensor): tensor.rawValue
    case .arrived(let pass): "arrived \(words(pass))"
    case .exchanged(let exchange, let part, let hop): words(exchange, part, hop)
    }
  }

  private static func words(_ exchange: Exchange, _ part: ModelPart?, _ hop: Exchange.Hop?) -> String {
    let family = exchange.family.map(words), node = hop == .across ? "node " : ""
    switch (exchange.content, part) {
    case (.weights, let part?): return (family == "secondary" ? "secondary weights " : "weights ") + words(part)
    case (.updatedWeights, let part?): return "updated weights \(words(part)) \(family ?? "")"
    case (.updatedWeights, nil): return "all weights"
    case (.gradient, let part?): return "\(node)gradient \(words(part)) \(family ?? "")"
    case (.gradient, nil): return exchange.divisor > 1 ? "gradient shards" : "all \(node)gradients"
    case (.partialGradient, let part?): return "replicated gradients \(words(part))"
    case (.partialGradient, nil): return "replicated gradients"
    case (.tiedMatrixGradient, _): return "tied matrix gradient"
    case (.scalars, _): return "scalars"
    case (.progress, _): return hop == .fromOwners ? "progress sums" : "progress"
    case (.anchorStep, _): return "anchor step"
    case (.weights, nil): return "weights of no part"
    }
  }

  private static func words(_ computation: Computation) -> String {
    switch computation {
    case .beginPass(let pass): "begin \(words(pass))"
    case .endPass(let pass): "end \(words(pass))"
    case .forward(let piece, let part, let batch): "forward \(words(piece)) \(words(part)) \(batch)"
    case .recompute(let piece, let part, let batch): "recompute \(words(piece)) \(words(part)) \(batch)"
    case .backward(let piece, let part, let batch): "backward \(words(piece)) \(words(part)) \(batch)"
    case .inputGradient(let piece, let part, let batch): "input gradient \(words(piece)) \(words(part)) \(batch)"
    case .weightGradient(let piece, let part, let batch): "weight gradient \(words(piece)) \(words(part)) \(batch)"
    case .pass(let part, let pass): "\(words(pass)) \(words(part))"
    case .dropWeights(let part): "drop weights \(words(part))"
    case .keepSecondary(let part): "keep secondary \(words(part))"
    case .dropSecondary: "drop secondary"
    case .averageGradients(let count): "average \(count)"
    case .sumScalars: "sum scalars"
    case .clipGradients: "clip"
    case .updateParameters: "update"
    case .update(let part, let losses): "update \(words(part)) \(losses == .ofThisIteration ? "this" : "last")"
    case .perturb(let part, let evaluation): "perturb \(words(part)) \(evaluation.index)"
    case .evaluate(let piece, let part, let batch, let evaluation):
      "evaluate \(words(piece)) \(words(part)) \(batch) \(evaluation.index)"
    case .evaluatePart(let part, let batches, let evaluation):
      "evaluate \(words(part)) \(batches.lowerBound) to \(batches.upperBound) \(evaluation.index)"
    case .sumLosses: "sum losses"
    case .projectGradient: "project"
    case .takeProgress: "take progress"
    case .returnToAnchor: "return"
    case .outerStep(let count): "outer step \(count)"
    }
  }

  private static func words(_ piece: ModelPiece) -> String {
    switch piece {
    case .embeddingRows: "embedding rows"
    case .embeddingOutput: "embedding output"
    case .attentionNorm: "attention norm"
    case .attentionCore: "attention core"
    case .attentionInput: "attention input"
    case .attentionFirst: "attention first"
    case .attentionNext: "attention next"
    case .attentionProjection: "attention projection"
    case .attentionOutput: "attention output"
    case .feedForwardNorm: "feed-forward norm"
    case .feedForwardCore: "feed-forward core"
    case .feedForwardOutput: "feed-forward output"
    case .router: "router"
    case .experts: "experts"
    case .expertsOutput: "experts output"
    case .sharedExperts: "shared experts"
    case .predictionEmbedding: "prediction embedding"
    case .predictionInput: "prediction input"
    case .predictionProjection: "prediction projection"
    case .finalNorm: "final norm"
    case .logits: "logits"
    case .exponentials: "exponentials"
    case .loss: "loss"
    }
  }
}
