package import Documents

/// A survey as a links document, alone or added to the document of the run that it resumes.
extension LinkSurvey {
  /// What the document says beyond the survey.
  package struct Caption: Sendable {
    package let name: String
    /// The run, in words.
    package let source: String
    /// When the run began, as ISO 8601 text.
    package let time: String

    package init(name: String, source: String, time: String) {
      self.name = name
      self.source = source
      self.time = time
    }
  }

  /// The links document.
  ///
  /// - Parameters:
  ///   - earlier: the document that is resumed; what it knows stays unless it was measured again. A node that never
  ///     came is not added to it: under the name that it would have here it may be one that the document knows.
  ///   - blocks: for each node what it shares with its nearest, to infer what a
  ///     sampled run left out; nil infers nothing.
  package func document(
    _ caption: Caption, resuming earlier: MeasuredLinks? = nil, inferringFromBlocks blocks: [String]? = nil
  ) -> MeasuredLinks {
    let listed = nodes.indices.filter { rank in
      guard let earlier else { return true }
      return nodes[rank].hasCome || earlier.nodeNames.contains(nodes[rank].name)
    }
    var table = LinkTable(names: nodes.map(\.name), listed: listed, earlier: earlier)
    let origin = table.origin(
      MeasuredLinks.Origin(
        engine: "tcp", source: caption.source, trust: isLoaded ? .loaded : .idle,
        note: isLoaded ? "all pairs of a round at once" : "one pair at a time"))
    for (from, row) in outcomes.enumerated() {
      for (to, outcome) in row.enumerated() {
        switch outcome {
        case .measured(let measurement) where from == to: table.setLoopback(measurement, at: from, origin: origin)
        case .measured(let measurement): table.set(measurement, from: from, to: to, origin: origin)
        case .failed(let reason): table.setGap(reason, from: from, to: to)
        case .notTried, .known: break
        }
      }
    }
    for index in listed {
      if let failure = nodes[index].failure { table.setRowGap(failure, of: index) }
    }
    if let blocks {
      let inferred = table.origin(
        MeasuredLinks.Origin(
          engine: "tcp", source: caption.source, trust: .inferred,
          note: "not measured: from the measured pairs of the same blocks and of the same nodes"))
      let present = nodes.indices.filter { nodes[$0].failure == nil && nodes[$0].hasCome }
      table.infer(blocks: blocks, among: present, origin: inferred)
    }
    return table.document(
      name: caption.name, source: caption.source, time: caption.time, load: isLoaded ? .loaded : .idle)
  }
}
