A bronze admiral who vanished from his plinth on the seafront in May has been found sitting in a beach cafe at Pell Sands, four miles along the coast.

Sir Hector Plume, who weighs three-quarters of a ton, had looked out to sea in full uniform since 1889. When he went missing, police suspected scrap thieves.

Cafe owner Bev Tranter, 38, said that she had thought he was some kind of advertisement. He was at the corner table when she opened up on the first of June, with his boots off and his hat on the chair next to him.

"He was no trouble," she said. "I served round him. Children left him their crusts."

The boots, which are solid metal, were standing neatly together below the table. A bronze expert brought in by the county could find no mark of a saw and no sign that they had ever been separate.

Sir Hector was taken home by crane on Wednesday. His face, which used to be described as stern, is now thought to be more relaxed. The plinth has been turned a little to give him a view of the deckchairs.

@highlight

A missing statue of Admiral Sir Hector Plume has been found in a cafe

@highlight

He was sitting with his bronze boots off at Pell Sands

@highlight

His plinth has been turned so that he can see the deckchairs
