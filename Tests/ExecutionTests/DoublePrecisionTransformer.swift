import Documents
import Foundation
import Training

@testable import Execution

/// The loss of a transformer in double precision, written from the definitions, sequence by sequence and element by
/// element: shares no arithmetic with what is tested.
struct DoublePrecisionTransformer {
  let model: ModelDescription
  let sequenceLength: Int
  let seed: UInt64
  /// Tokens of a sequence, all of which one rank has, that each expert takes; nil where it takes all.
  let room: Int?
  /// By how many tokens further predictions look too far, in what they look up and in what they predict: 0 but to see that it
  /// would be noticed.
  var mistakes = (lookedUp: 0, predicted: 0)
  /// By part and name, full tensors, outputs × inputs.
  var weights: [ModelPart: [ParameterName: [Double]]]

  init(shard: ModelShard, ownsOutputMatrix: Bool) {
    model = shard.model
    sequenceLength = shard.sequenceLength
    seed = shard.seed
    room = shard.model.experts.flatMap { experts in
      shard.expertCapacity.factor.map {
        Int(ceil(Double(shard.sequenceLength * experts.perToken) / Double(experts.count) * $0))
      }
    }
    weights = [:]
    let serial = SerialReference(shard: shard, globalBatch: 1, microBatch: 1, settings: .init())
    let head = ParameterLayout(.head, shard: shard, ownsOutputMatrix: ownsOutputMatrix)
    for layout in serial.layouts.map({ $0.part == .head ? head : $0 }) {
      let part = layout.part
      let values = layout.initialValues(seed: shard.seed)
      weights[part] = [:]
      for tensor in layout.tensors { weights[part]?[tensor.name] = values[tensor.range].map(Double.init) }
    }
  }

  /// Sum of the cross-entropies of all tokens; of further predictions the mean of the tokens that have a target, as often as there
  /// are tokens, times 0.1 shared out among depths.
  func loss(_ microBatch: MicroBatch) -> Double {
    let data = TrainingData(
      seed: seed, vocabularySize: model.vocabularySize, positions: Array(0..<sequenceLength),
      sequenceLength: sequenceLength)
    var total = 0.0
    for sequence in microBatch.sequences {
      let tokens = (0...sequenceLength).map { data.token(step: microBatch.step, sequence: sequence, position: $0) }
      total += loss(tokens: tokens, sequence: sequence, step: microBatch.step)
    }
    return total
  }

  private func loss(tokens: [Int], sequence: Int, step: Int) -> Double {
    let h = model.hiddenSize
    let table = tensor(.embedding, .tokenEmbedding)
    var stream = (0..<sequenceLength).map { position in
      var row = Array(table[tokens[position] * h..<(tokens[position] + 1) * h])
      if model.positionCount > 0 {
        let positions = tensor(.embedding, .positionEmbedding)
        for i in 0..<h { row[i] += positions[position * h + i] }
      }
      return drop(row, step, 0, .embedding, sequence, position)
    }
    for layer in 0..<model.layerCount { block(&stream, .layer(layer), layer, sequence, step) }
    var given = stream.map { norm($0, .head, .finalNormWeight, .finalNormBias) }
    var sum = given.indices.reduce(0) { $0 + crossEntropy(given[$1], tokens[$1 + 1]) }
    // Depth k predicts token i + 1 + k of what the depth before gives at i and of token i + k; behind the end there is none, and
    // what is there instead matters to nothing before it.
    for depth in 1..<1 + model.predictionDepth {
      let index = model.layerCount + depth - 1, part = ModelPart.prediction(index)
      var rows = given.indices.map { position -> [Double] in
        let ahead = position + depth + mistakes.lookedUp
        let token = ahead < sequenceLength ? tokens[ahead] : 0
        let looked = drop(Array(table[token * h..<(token + 1) * h]), step, index, .embedding, sequence, position)
        let both =
          norm(looked, part, .predictionTokenNormWeight, .predictionTokenNormBias)
          + norm(given[position], part, .predictionStreamNormWeight, .predictionStreamNormBias)
        return linear(both, tensor(part, .predictionWeight), nil)
      }
      block(&rows, part, index, sequence, step)
      given = rows.map { norm($0, part, .finalNormWeight, .finalNormBias) }
      let count = sequenceLength - depth
      let ofDepth = (0..<count).reduce(0) {
        $0 + crossEntropy(given[$1], tokens[min(sequenceLength, $1 + 1 + depth + mistakes.predicted)])
      }
      sum += 0.1 / Double(model.predictionDepth) * ofDepth / Double(count) * Double(sequenceLength)
    }
    return sum
  }

  private func block(_ stream: inout [[Double]], _ part: ModelPart, _ layer: Int, _ sequence: Int, _ step: Int) {
    let first = stream.map { norm($0, part, .attentionNormWeight, .attentionNormBias) }
    let attention = attention(first, part, step, layer, sequence)
    for position in stream.indices {
      let dropped = drop(attention[position], step, layer, .attention, sequence, position)
      for i in dropped.indices { stream[position][i] += dropped[i] }
    }
    let second = stream.map { norm($0, part, .feedForwardNormWeight, .feedForwardNormBias) }
    let whole =
      model.kind(ofLayer: layer).feedForward == .experts
      ? experts(second, layer) : second.map { feedForward($0, part) }
    for position in stream.indices {
      let output = drop(whole[position], step, layer, .feedForward, sequence, position)
      for i in output.indices { stream[position][i] += output[i] }
    }
  }

  private func crossEntropy(_ row: [Double], _ target: Int) -> Double {
    let matrix = model.hasTiedEmbeddings ? tensor(.embedding, .tokenEmbedding) : tensor(.head, .outputMatrix)
    let logits = Array(linear(row, matrix, nil)[0..<model.vocabularySize])
    let largest = logits.max() ?? 0
    return log(logits.reduce(0) { $0 + exp($1 - largest) }) + largest - logits[target]
  }

  private func attention(
    _ rows: [[Double]], _ part: ModelPart, _ step: Int, _ layer: Int, _ sequence: Int
  ) -> [[Double]] {
    let d = model.headSize, heads = model.headCount, group = heads / model.keyValueHeadCount
    let size = model.valueHeadSize
    if let latent = model.latent { return latentAttention(rows, part, layer, latent) }
    let q = rows.enumerated().map { turn(split($1, part, .queryWeight, .queryBias, .queryNormWeight), $0) }
    let k = rows.enumerated().map { turn(split($1, part, .keyWeight, .keyBias, .keyNormWeight), $0) }
    let v = rows.map { split($0, part, .valueWeight, .valueBias, nil) }
    let dropout = Dropout(seed: seed, step: step, layer: layer, site: .attentionCore)
    return rows.indices.map { position in
      var context = [Double](repeating: 0, count: heads * d)
      for head in 0..<heads {
        let seen = model.family == .bert ? 0..<rows.count : seenKeys(position, layer)
        let scores = seen.map { key in
          (0..<d).reduce(0.0) { $0 + q[position][head][$1] * k[key][head / group][$1] } / Double(d).squareRoot()
        }
        let sink = weights[part]?[.sinks].map { exp($0[head]) } ?? 0
        let total = scores.reduce(0) { $0 + exp($1) } + sink
        var factors = [Float](repeating: 1, count: sequenceLength)
        if model.hasDropout {
          dropout.fill(
            &factors, sequence: sequence, position: position,
            range: head * sequenceLength..<(head + 1) * sequenceLength)
        }
        for key in seen {
          let weight = exp(scores[key - seen.lowerBound]) / total * Double(factors[key])
          for i in 0..<size { context[head * d + i] += weight * v[key][head / group][i] }
        }
      }
      context = gated(context, part, rows[position])
      return linear(context, tensor(part, .attentionOutputWeight), weights[part]?[.attentionOutputBias])
    }
  }

  /// Every number times the sigmoid of its gate, which is made of what queries are made of.
  private func gated(_ context: [Double], _ part: ModelPart, _ row: [Double]) -> [Double] {
    guard let weight = weights[part]?[.attentionGateWeight] else { return context }
    let gates = linear(row, weight, weights[part]?[.attentionGateBias])
    return zip(context, gates).map { $0 / (1 + exp(-$1)) }
  }

  private func split(
    _ row: [Double], _ part: ModelPart, _ weight: ParameterName, _ bias: ParameterName, _ norm: ParameterName?
  ) -> [[Double]] {
    let all = linear(row, tensor(part, weight), weights[part]?[bias])
    return stride(from: 0, to: all.count, by: model.headSize).map { start in
      let head = Array(all[start..<start + model.headSize])
      guard let norm, let scales = weights[part]?[norm] else { return head }
      let square = head.reduce(0) { $0 + $1 * $1 } / Double(head.count)
      return zip(head, scales).map { $0 / (square + 1e-5).squareRoot() * $1 }
    }
  }

  /// Rotation of every head by its position.
  private func turn(_ heads: [[Double]], _ position: Int) -> [[Double]] {
    guard model.family == .llama, model.positionCount == 0 else { return heads }
    let half = model.headSize / 2
    return heads.map { head in
      var turned = head
      for i in 0..<half {
        let angle = Double(position) / pow(10_000, 2 * Double(i) / Double(model.headSize))
        turned[i] = head[i] * cos(angle) - head[i + half] * sin(angle)
        turned[i + half] = head[i] * sin(angle) + head[i + half] * cos(angle)
      }
      return turned
    }
  }

  private func feedForward(_ row: [Double], _ part: ModelPart) -> [Double] {
    var inner = linear(row, tensor(part, .upWeight), weights[part]?[.upBias])
    if model.hasGatedFeedForward {
      let gate = linear(row, tensor(part, .gateWeight), weights[part]?[.gateBias])
      for i in inner.indices { inner[i] *= gate[i] / (1 + exp(-gate[i])) }
    } else {
      inner = inner.map { 0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) }
    }
    return linear(inner, tensor(part, .downWeight), weights[part]?[.downBias])
  }

  private func norm(
    _ row: [Double], _ part: ModelPart, _ weight: ParameterName, _ bias: ParameterName
  ) -> [Double] {
    let scales = tensor(part, weight)
    let mean = model.family == .llama ? 0 : row.reduce(0, +) / Double(row.count)
    let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(row.count)
    return row.indices.map {
      (row[$0] - mean) / (variance + 1e-5).squareRoot() * scales[$0] + (weights[part]?[bias]?[$0] ?? 0)
    }
  }

  /// Written for builds without optimisation, where loops over ranges and arrays cost ten times this.
  private func linear(_ row: [Double], _ weight: [Double], _ bias: [Double]?) -> [Double] {
    let width = row.count
    var result = bias ?? [Double](repeating: 0, count: weight.count / width)
    row.withUnsafeBufferPointer { row in
      weight.withUnsafeBufferPointer { weight in
        guard let row = row.baseAddress, var element = weight.baseAddress else { return }
        var output = 0
        while output < result.count {
          var sum = 0.0
          var i = 0
          while i < width {
            sum += row[i] * element.pointee
            element += 1
            i += 1
          }
          result[output] += sum
          output += 1
        }
      }
    }
    return result
  }

  private func drop(
    _ row: [Double], _ step: Int, _ layer: Int, _ site: Dropout.Site, _ sequence: Int, _ position: Int
  ) -> [Double] {
    guard model.hasDropout else { return row }
    var factors = [Float](repeating: 1, count: row.count)
    Dropout(seed: seed, step: step, layer: layer, site: site)
      .fill(&factors, sequence: sequence, position: position, range: 0..<row.count)
    return zip(row, factors).map { $0 * Double($1) }
  }

  // MARK: Windows, latent attention, experts

  /// The keys that a query sees.
  private func seenKeys(_ position: Int, _ layer: Int) -> Range<Int> {
    switch model.kind(ofLayer: layer).reach {
    case .full: 0..<position + 1
    case .window(let size): max(0, position - size + 1)..<position + 1
    case .chunk(let size): position / size * size..<position + 1
    }
  }

  /// From the definition: queries of a narrow vector, keys and values of another, a part of the keys for all heads.
  private func latentAttention(
    _ rows: [[Double]], _ part: ModelPart, _ layer: Int, _ latent: ModelDescription.LatentAttention
  ) -> [[Double]] {
    let n = latent.plainSize, r = latent.rotarySize, v = latent.valueSize
    func normed(_ row: [Double], _ name: ParameterName) -> [Double] {
      let square = row.reduce(0) { $0 + $1 * $1 } / Double(row.count)
      return zip(row, tensor(part, name)).map { $0 / (square + 1e-5).squareRoot() * $1 }
    }
    func turned(_ part: [Double], _ position: Int) -> [Double] {
      var turned = part
      for i in 0..<r / 2 {
        let angle = Double(position) / pow(10_000, 2 * Double(i) / Double(r))
        turned[i] = part[i] * cos(angle) - part[i + r / 2] * sin(angle)
        turned[i + r / 2] = part[i] * sin(angle) + part[i + r / 2] * cos(angle)
      }
      return turned
    }
    var narrows: [[Double]] = [], queries: [[[Double]]] = [], keys: [[[Double]]] = [], values: [[[Double]]] = []
    for (position, row) in rows.enumerated() {
      let narrow =
        latent.queryRank == nil
        ? row : normed(linear(row, tensor(part, .queryDownWeight), nil), .queryDownNormWeight)
      narrows.append(narrow)
      let query = linear(narrow, tensor(part, .queryWeight), nil)
      let down = linear(row, tensor(part, .keyValueDownWeight), nil)
      let shared = turned(Array(down[latent.keyValueRank...]), position)
      let up = linear(
        normed(Array(down[..<latent.keyValueRank]), .keyValueDownNormWeight), tensor(part, .keyValueUpWeight), nil)
      queries.append(
        (0..<model.headCount).map { head in
          let first = head * (n + r)
          return Array(query[first..<first + n]) + turned(Array(query[first + n..<first + n + r]), position)
        })
      keys.append((0..<model.headCount).map { Array(up[$0 * (n + v)..<$0 * (n + v) + n]) + shared })
      values.append((0..<model.headCount).map { Array(up[$0 * (n + v) + n..<($0 + 1) * (n + v)]) })
    }
    return rows.indices.map { position in
      var context = [Double](repeating: 0, count: model.headCount * v)
      for head in 0..<model.headCount {
        let seen = seenKeys(position, layer)
        let scores = seen.map { key in
          (0..<n + r).reduce(0.0) { $0 + queries[position][head][$1] * keys[key][head][$1] }
            / Double(n + r).squareRoot()
        }
        let total = scores.reduce(0) { $0 + exp($1) }
        for key in seen {
          let weight = exp(scores[key - seen.lowerBound]) / total
          for i in 0..<v { context[head * v + i] += weight * values[key][head][i] }
        }
      }
      context = gated(context, part, narrows[position])
      return linear(context, tensor(part, .attentionOutputWeight), weights[part]?[.attentionOutputBias])
    }
  }

  /// From the definition: the experts with the best scores, each token's outputs weighed and added up; of an expert that has
  /// not room for all tokens those that it counts most for.
  private func experts(_ rows: [[Double]], _ layer: Int) -> [[Double]] {
    let counted = rows.map { routed($0, layer) }
    return rows.indices.map { row in
      let taken = counted[row].filter { expert, weight in
        let better = counted.indices.filter { other in (counted[other][expert] ?? -1) > weight }
        return room.map { better.count < $0 } ?? true
      }
      return output(rows[row], layer, taken)
    }
  }

  /// What each of a token's experts counts.
  private func routed(_ row: [Double], _ layer: Int) -> [Int: Double] {
    guard let experts = model.experts else { return [:] }
    let part = ModelPart.block(layer, of: model)
    let logits = linear(row, tensor(part, .routerWeight), weights[part]?[.routerBias])
    let total = logits.reduce(0) { $0 + exp($1) }
    let scores = logits.map { experts.score == .softmax ? exp($0) / total : 1 / (1 + exp(-$0)) }
    let values = zip(scores, weights[part]?[.correctionBias] ?? scores.map { _ in 0 }).map { $0 + $1 }
    var open = Array(scores.indices)
    if let groups = experts.groups {
      let size = experts.count / groups.count
      let best = (0..<groups.count).sorted { left, right in
        func value(_ group: Int) -> Double {
          let sorted = values[group * size..<(group + 1) * size].sorted(by: >)
          return sorted.prefix(experts.hasCorrectionBias ? 2 : 1).reduce(0, +)
        }
        return value(left) > value(right)
      }.prefix(groups.kept)
      open = open.filter { best.contains($0 / size) }
    }
    let chosen = open.sorted { values[$0] > values[$1] }.prefix(experts.perToken)
    let sum = experts.normalisesWeights ? chosen.reduce(0) { $0 + scores[$1] } : 1
    return Dictionary(uniqueKeysWithValues: chosen.map { ($0, experts.routedScale * scores[$0] / sum) })
  }

  private func output(_ row: [Double], _ layer: Int, _ weights: [Int: Double]) -> [Double] {
    guard let experts = model.experts else { return row }
    let part = ModelPart.block(layer, of: model)
    // Experts may read a narrow vector that is made of the token, and give one of which its addend is made.
    let read = experts.latentSize == nil ? row : linear(row, tensor(part, .expertsNarrowWeight), nil)
    var output = [Double](repeating: 0, count: read.count)
    for (expert, weight) in weights.sorted(by: { $0.key < $1.key }) {
      let own = ModelPart.experts(layer, expert..<expert + 1)
      let result = narrow(
        read, own, up: (.upWeight, .upBias), gate: (.gateWeight, .gateBias), down: .downWeight, .downBias)
      for i in output.indices { output[i] += weight * result[i] }
    }
    if experts.latentSize != nil { output = linear(output, tensor(part, .expertsWideWeight), nil) }
    guard experts.sharedFeedForwardSize > 0 else { return output }
    let shared = narrow(
      row, part, up: (.sharedUpWeight, .downBias), gate: (.sharedGateWeight, .downBias), down: .sharedDownWeight,
      .downBias)
    let gate = self.weights[part]?[.sharedExpertsGate].map { vector in
      1 / (1 + exp(-zip(row, vector).reduce(0) { $0 + $1.0 * $1.1 }))
    }
    return zip(output, shared).map { $0 + (gate ?? 1) * $1 }
  }

  private func narrow(
    _ row: [Double], _ part: ModelPart, up: (ParameterName, ParameterName), gate: (ParameterName, ParameterName),
    down: ParameterName, _ downBias: ParameterName
  ) -> [Double] {
    let value = linear(row, tensor(part, up.0), weights[part]?[up.1])
    let open = linear(row, tensor(part, gate.0), weights[part]?[gate.1])
    let inner = zip(open, value).map { $0 / (1 + exp(-$0)) * $1 }
    return linear(inner, tensor(part, down), weights[part]?[downBias])
  }

  private func tensor(_ part: ModelPart, _ name: ParameterName) -> [Double] { weights[part]?[name] ?? [] }
}
