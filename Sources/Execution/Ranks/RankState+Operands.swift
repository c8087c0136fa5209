import Documents
import Training

/// What collectives and transfers work on, as flat buffers.
extension RankState {
  /// The whole tensor of a collective as this rank has it at the beginning: its addend, or its own chunk in place.
  ///
  /// - Parameter chunk: the rank's own chunk.
  mutating func load(_ operand: Operand, of collective: Collective, chunk: Range<Int>) -> [Float] {
    let isGather = collective.kind == .allGather
    func placed(_ own: [Float]) -> [Float] {
      guard isGather, own.count == chunk.count, own.count != collective.elementCount else { return own }
      var whole = [Float](repeating: 0, count: collective.elementCount)
      whole.replaceSubrange(chunk, with: own)
      return whole
    }
    switch operand {
    case .stream: return placed(stream.elements)
    case .branch: return placed(branch.elements)
    case .columnInput: return placed(columnInput.elements)
    case .joined: return placed(predictionInHand.joined.elements)
    case .columns: return placed(predictionInHand.columns.elements)
    case .tokenMaximum: return tokenMaxima
    case .tokenTarget: return tokenTargets
    case .tokenSum: return tokenSums
    case .attention(let tensor): return placed(loadAttention(tensor, of: collective))
    case .routed(let tensor): return loadGathered(tensor, of: collective)
    case .arrived(let pass): return placed(arrived[pass]?.elements ?? [])
    case .exchanged(let exchange, let part, let hop):
      switch exchange.content {
      case .weights, .updatedWeights:
        if gathersNarrow(exchange, part) { return placed(narrowShard(exchange, of: part, byteCount: chunk.count)) }
        let shard = gatheredShard(exchange, of: part)
        guard let quantisation = collective.quantisation else { return placed(shard) }
        return placed(quantised(shard, quantisation, wordCount: chunk.count))
      case .gradient:
        guard let hop, let quantisation = collective.quantisation else { return takeGradient(exchange, of: part) }
        return hopLoad(exchange, of: part, hop, of: collective, quantisation)
      case .partialGradient: return indices(of: part, exchange).flatMap { Array(parts[$0].gradient[partialRange($0)]) }
      case .tiedMatrixGradient:
        let (index, range) = tiedMatrix
        return Array(parts[index].gradient[range])
      case .scalars: return scalars
      case .progress: return placed(progressLoad(hop))
      case .anchorStep: return [rounds.steps.lastSquares]
      }
    }
  }

  /// Puts back what a collective left.
  ///
  /// - Parameter chunk: the rank's own chunk, all that a reduce-scatter completes.
  mutating func store(_ buffer: [Float], _ operand: Operand, of collective: Collective, chunk: Range<Int>) {
    switch operand {
    case .stream: stream = activation(buffer, of: collective, chunk: chunk)
    case .branch: branch = activation(buffer, of: collective, chunk: chunk)
    case .columnInput: columnInput = activation(buffer, of: collective, chunk: chunk)
    case .joined: predictionInHand.joined = activation(buffer, of: collective, chunk: chunk)
    case .columns: takeColumns(buffer)
    case .tokenMaximum: tokenMaxima = buffer
    case .tokenTarget: tokenTargets = buffer
    case .tokenSum: tokenSums = buffer
    case .attention(let tensor): storeAttention(buffer, tensor, of: collective, chunk: chunk)
    case .routed(let tensor): storeGathered(buffer, tensor, of: collective, chunk: chunk)
    case .arrived(let pass): arrived[pass] = activation(buffer, of: collective, chunk: chunk)
    case .exchanged(let exchange, let part, let hop):
      switch exchange.content {
      case .weights, .updatedWeights:
        if gathersNarrow(exchange, part) {
          storeNarrow(buffer, exchange, of: part)
        } else {
          storeWeights(dequantised(buffer, of: collective), exchange, of: part)
        }
      case .gradient:
        if let hop, let quantisation = collective.quantisation {
          hopStore(buffer, exchange, of: part, hop, of: collective, quantisation)
        } else {
          putGradient(collective.kind == .reduceScatter ? Array(buffer[chunk]) : buffer, exchange, of: part)
        }
      case .partialGradient:
        var next = 0
        for index in indices(of: part, exchange) {
          let range = partialRange(index)
          parts[index].gradient.replaceSubrange(range, with: buffer[next..<next + range.count])
          next += range.count
        }
      case .tiedMatrixGradient:
        let (index, range) = tiedMatrix
        parts[index].gradient.replaceSubrange(range, with: buffer)
      case .scalars: scalars = buffer
      case .progress: progressStore(buffer, hop)
      case .anchorStep: rounds.steps.lastSquares = buffer[0]
      }
    }
  }

  /// Rows of the residual stream's width, or under latent attention of what heads are made of, or of both vectors of a further
  /// prediction; sums are rounded like everything
  /// that is kept or sent.
  private func activation(_ buffer: [Float], of collective: Collective, chunk: Range<Int>) -> Matrix {
    let width =
      [.branch, .joined].contains(collective.operand)
      ? collective.elementCount / setting.shape.tokenCount : setting.job.model.hiddenSize
    let elements = collective.kind == .reduceScatter ? Array(buffer[chunk]) : buffer
    let matrix = Matrix(rowCount: elements.count / width, columnCount: width, elements: elements)
    return collective.kind == .allGather ? matrix : shard.rounded(matrix)
  }

  private func partialRange(_ index: Int) -> Range<Int> {
    parts[index].layout.partialRange(usesSequenceParallelism: shard.usesSequenceParallelism) ?? 0..<0
  }

  private var tiedMatrix: (part: Int, range: Range<Int>) {
    let isFirst = place[.pipeline] == 0
    let index = index(of: isFirst ? .embedding : .head)
    let layout = parts[index].layout
    return (index, (isFirst ? layout.range(of: .tokenEmbedding) : layout.tokenTableCopy) ?? 0..<0)
  }

  // MARK: Between stages

  /// The rank's part of a pass' result, to be sent: what is divided along the sequence whole, otherwise its chunk.
  mutating func takeOutgoing(_ pass: PipelineStep) -> [Float] {
    guard let result = outgoing.removeValue(forKey: pass) else { return [] }
    let t = setting.strategy.tensorDegree
    guard t > 1, !shard.usesSequenceParallelism else { return result.elements }
    return Array(result.elements[CollectiveSchedule.chunk(place[.tensor], of: t, elementCount: result.elements.count)])
  }

  mutating func putArrived(_ elements: [Float], for pass: PipelineStep) {
    let width = setting.job.model.hiddenSize
    // A part of the rows may end inside a row: it is completed before it is used.
    arrived[pass] =
      elements.count % width == 0
      ? Matrix(rowCount: elements.count / width, columnCount: width, elements: elements)
      : Matrix(rowCount: 1, columnCount: elements.count, elements: elements)
  }
}
