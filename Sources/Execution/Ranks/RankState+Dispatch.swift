import Documents
import Training

/// Rows between the ranks that have tokens and those that have their experts.
extension RankState {
  private var dispatcher: Strategy.Dispatcher { setting.strategy.dispatcher }
  private var grid: Mesh { setting.strategy.expertMesh }
  /// Experts on each rank.
  private var localCount: Int { (setting.job.model.experts?.count ?? 0) / setting.strategy.expertDegree }

  // MARK: What leaves a rank, and what comes back

  /// Rows of the rank's own tokens, as they are sent: for each expert, or once. Of what fills experts up they are zeros.
  func sentRows(of tokens: Matrix, taken: [[Int]]) -> RoutedRows {
    let none = [Float](repeating: 0, count: tokens.columnCount)
    var rows = RoutedRows(width: tokens.columnCount)
    for tag in sentTags(taken) {
      let first = tag.row * tokens.columnCount
      rows.append(
        tag, tag.row < tokens.rowCount ? tokens.elements[first..<first + tokens.columnCount] : none[...])
    }
    return rows
  }

  /// What a token's experts count, beside its rows; nothing of what fills experts up.
  func sentWeights(_ routing: Router.Routing) -> RoutedRows {
    let tags = sentTags(routing.taken)
    var rows = RoutedRows(width: tags.first?.experts.count ?? 1)
    for tag in tags {
      guard tag.row < routing.choices.count else {
        rows.append(tag, [0])
        continue
      }
      let chosen = routing.choices[tag.row]
      rows.append(
        tag, tag.experts.map { expert in routing.weights[tag.row][chosen.firstIndex(of: expert) ?? 0] }[...])
    }
    return rows
  }

  /// - Parameter taken: by token, the experts that take it.
  private func sentTags(_ taken: [[Int]]) -> [RoutedRows.Tag] {
    guard dispatcher == .allToAll else {
      return taken.indices.map { RoutedRows.Tag(source: number, row: $0, experts: taken[$0]) }
    }
    guard let experts = setting.job.model.experts else { return [] }
    var byExpert = [[Int]](repeating: [], count: experts.count)
    for (row, chosen) in taken.enumerated() {
      for expert in chosen { byExpert[expert].append(row) }
    }
    let capacity = setting.job.expertCapacity
    if capacity.pads,
      let room = capacity.rowCount(tokenCount: taken.count, perToken: experts.perToken, expertCount: experts.count)
    {
      // Numbered after the tokens, so that each is a row of its own.
      for expert in byExpert.indices where byExpert[expert].count < room {
        byExpert[expert] += taken.count..<taken.count + room - byExpert[expert].count
      }
    }
    return byExpert.enumerated().flatMap { expert, rows in
      rows.map { RoutedRows.Tag(source: number, row: $0, experts: [expert]) }
    }
  }

  /// What experts have made of rows, as it goes back: each row, or the sum of a token's.
  func returnedRows(_ tags: [RoutedRows.Tag], _ rows: Matrix) -> RoutedRows {
    let rows = RoutedRows(tags, rows)
    return dispatcher == .allToAll ? rows : rows.summed(\.ofToken).mapped(shard.arithmetic.rounded)
  }

  /// Gradients of what experts count, as they go back: one of each row; where tokens are sent once a row for each that has
  /// come, with a number for each of its experts, of which other ranks add theirs.
  ///
  /// - Parameter come: what has come, of the tokens of `tags`.
  func returnedWeights(_ tags: [RoutedRows.Tag], _ values: [Float], come: [RoutedRows.Tag]) -> RoutedRows {
    guard dispatcher.sendsOnce else {
      return RoutedRows(tags, Matrix(rowCount: values.count, columnCount: 1, elements: values))
    }
    let found = Dictionary(zip(tags, values)) { first, _ in first }
    var whole = RoutedRows(width: setting.job.model.experts?.perToken ?? 1)
    for tag in come { whole.append(tag, tag.experts.map { found[tag.of($0)] ?? 0 }[...]) }
    return whole
  }

  // MARK: Rows of which every rank has others

  /// Whether the rows of a collective are as many as tokens choose: of all but gathered tokens.
  func isRagged(_ collective: Collective) -> Bool {
    if case .routed = collective.operand { dispatcher != .allGather } else { false }
  }

  /// What goes to each rank of a collective's group, by its place there.
  func loadRouted(_ tensor: RoutedTensor, of collective: Collective) -> [RoutedRows] {
    let experts = tensor.isOfForward ? forwardExperts : backwardExperts
    let rows = tensor.isOfWeights ? experts.weights : experts.rows.mapped(shard.arithmetic.rounded)
    var parts = [RoutedRows](repeating: RoutedRows(width: rows.width), count: collective.group.count)
    for (index, tag) in rows.tags.enumerated() {
      for place in places(of: tag, tensor, in: collective) { parts[place].append(tag, rows[index]) }
    }
    return parts
  }

  /// Takes up what has come from each rank of the group.
  mutating func storeRouted(_ parts: [RoutedRows], _ tensor: RoutedTensor, of collective: Collective) {
    let experts = tensor.isOfForward ? forwardExperts : backwardExperts
    var rows = RoutedRows(width: (tensor.isOfWeights ? experts.weights : experts.rows).width)
    for part in parts { rows.append(part) }
    // What ranks have of the same tokens is added up in their order: parts of a width, and where tokens are sent once.
    if !tensor.goesToExperts, collective.kind == .reduceScatter || dispatcher.sendsOnce { rows = rows.summed { $0 } }
    take(rows, tensor)
  }

  private mutating func take(_ rows: RoutedRows, _ tensor: RoutedTensor) {
    switch (tensor.isOfForward, tensor.isOfWeights) {
    case (true, true): forwardExperts.weights = rows
    case (true, false): forwardExperts.rows = rows
    case (false, true): backwardExperts.weights = rows
    case (false, false): backwardExperts.rows = rows
    }
  }

  /// Whether a row should have come to this rank: there for one of its experts, or for one on its node, or back to its token.
  func expects(_ tag: RoutedRows.Tag, _ tensor: RoutedTensor, of collective: Collective) -> Bool {
    if collective.kind == .allGather { return true }
    if collective.kind == .reduceScatter {
      return grid.coordinate(ofRank: tag.source, along: .tensor) == grid.coordinate(ofRank: number, along: .tensor)
    }
    let own = grid.coordinate(ofRank: number, along: .expert), onNode = setting.strategy.expertDegree / nodeCount
    let isAcross = nodeCount > 1 && collective.group == group(.expertsAcross)
    let isInside = collective.group.count < setting.strategy.expertDegree && !isAcross
    if tensor.goesToExperts {
      return tag.experts.contains { isAcross ? $0 / localCount / onNode == own / onNode : $0 / localCount == own }
    }
    return isInside
      ? grid.coordinate(ofRank: tag.source, along: .expert) % onNode == own % onNode : tag.source == number
  }

  /// The members of a group that a row goes to.
  private func places(of tag: RoutedRows.Tag, _ tensor: RoutedTensor, in collective: Collective) -> [Int] {
    if collective.kind == .allGather { return Array(collective.group.indices) }
    if collective.kind == .reduceScatter { return [grid.coordinate(ofRank: tag.source, along: .tensor)] }
    // Ranks that divide experts, by their number among all of those: on each node as many.
    let all = setting.strategy.expertDegree, count = collective.group.count
    let owners =
      tensor.goesToExperts
      ? tag.experts.map { $0 / localCount } : [grid.coordinate(ofRank: tag.source, along: .expert)]
    if count == all { return distinct(owners) }
    let nodeCount = nodeCount, onNode = all / nodeCount, own = grid.coordinate(ofRank: number, along: .expert)
    let isAcross = collective.group == group(.expertsAcross)
    if isAcross { return distinct(owners.map { $0 / onNode }) }
    // On the way back to the rank that has the source's place on this node.
    guard tensor.goesToExperts else { return [owners[0] % onNode] }
    return distinct(owners.filter { $0 / onNode == own / onNode }.map { $0 % onNode })
  }

  private func distinct(_ rising: [Int]) -> [Int] {
    rising.reduce(into: []) { if $0.last != $1 { $0.append($1) } }
  }

  private var nodeCount: Int { setting.shape.expertNodeCount }

  private func group(_ ranks: TensorCollective.Ranks) -> [Int] {
    grid.ranks.group(setting.strategy.expertSpacing(ranks, nodeCount: nodeCount), containing: number).ranks
  }

  // MARK: Tokens that all ranks gather

  /// Numbers of every token of every rank, this rank's in their place or addends of all.
  func loadGathered(_ tensor: RoutedTensor, of collective: Collective) -> [Float] {
    let experts = tensor.isOfForward ? forwardExperts : backwardExperts
    let group = collective.group, count = experts.choices.count
    let width = collective.elementCount / max(1, group.count * count)
    var buffer = [Float](repeating: 0, count: collective.elementCount)
    func place(_ tag: RoutedRows.Tag) -> Int? {
      group.firstIndex(of: tag.source).map { ($0 * count + tag.row) * width }
    }
    switch tensor {
    case .weights:
      // Less than nothing where a token is not sent to an expert.
      for tag in experts.weights.tags {
        guard let first = place(tag) else { continue }
        for expert in 0..<width { buffer[first + expert] = -1 }
      }
      for (index, tag) in experts.weights.tags.enumerated() {
        guard let first = place(tag) else { continue }
        for (expert, value) in zip(tag.experts, experts.weights[index]) { buffer[first + expert] = value }
      }
    case .weightsGradient:
      for (index, tag) in experts.weights.tags.enumerated() {
        guard let first = place(tag) else { continue }
        for (expert, value) in zip(tag.experts, experts.weights[index]) { buffer[first + expert] += value }
      }
    case .tokens, .tokensGradient, .outputs, .outputsGradient:
      for (index, tag) in experts.rows.tags.enumerated() {
        guard let first = place(tag) else { continue }
        for (column, value) in experts.rows[index].enumerated() {
          buffer[first + column] += shard.arithmetic.rounded(value)
        }
      }
    }
    return buffer
  }

  mutating func storeGathered(
    _ buffer: [Float], _ tensor: RoutedTensor, of collective: Collective, chunk: Range<Int>
  ) {
    let experts = tensor.isOfForward ? forwardExperts : backwardExperts
    let group = collective.group, count = experts.choices.count
    let width = collective.elementCount / max(1, group.count * count)
    func tags(_ sources: [Int], experts: (Int, Int) -> [Int] = { _, _ in [] }) -> [RoutedRows.Tag] {
      sources.enumerated().flatMap { place, source in
        (0..<count).map { RoutedRows.Tag(source: source, row: $0, experts: experts(place, $0)) }
      }
    }
    func rows(_ tags: [RoutedRows.Tag], _ elements: [Float]) -> RoutedRows {
      RoutedRows(tags, Matrix(rowCount: tags.count, columnCount: width, elements: elements))
    }
    switch tensor {
    case .tokens, .outputsGradient: take(rows(tags(group), buffer), tensor)
    case .outputs, .tokensGradient:
      take(rows(tags([number]), Array(buffer[chunk]).map(shard.arithmetic.rounded)), tensor)
    case .weights:
      let all = tags(group) { place, row in
        let first = (place * count + row) * width
        return (0..<width).filter { buffer[first + $0] >= 0 }
      }
      var weights = RoutedRows(width: setting.job.model.experts?.perToken ?? 1)
      for (index, tag) in all.enumerated() {
        weights.append(tag, tag.experts.map { buffer[index * width + $0] }[...])
      }
      take(weights, tensor)
      // Now it is known which experts each token is for.
      forwardExperts.rows = RoutedRows(all, experts.rows.matrix)
    case .weightsGradient:
      let every = Array(0..<width)
      take(rows(tags([number]) { _, _ in every }, Array(buffer[chunk])), tensor)
    }
  }
}

extension RoutedTensor {
  /// Whether it is of what experts count, and not of rows.
  fileprivate var isOfWeights: Bool { self == .weights || self == .weightsGradient }

  /// Whether it goes from ranks that have tokens to ranks that have their experts; otherwise back.
  fileprivate var goesToExperts: Bool { [.tokens, .weights, .outputsGradient].contains(self) }
}
