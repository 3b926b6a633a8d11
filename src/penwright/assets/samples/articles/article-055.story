Four thousand oranges came in on the morning tide at Lower Pell on Wednesday, each of them wrapped in a page of the same novel.

Coastguards think that a container was lost in the bay, though no ship has reported one. Children were sent down to the beach with buckets before school. The paper, once it was dry, proved to be from a love story, in large print, with the numbers at the bottom.

Teacher Oliver Penhaligon, 34, laid out the first few on a radiator, and saw that he had pages 12, 13 and 210. He put a notice in the window of the post office. By Thursday night there was a queue at the school gate, and 288 of the 310 had been put in order on the floor of the gym.

People who came to hand in an orange stayed to read as far as it went. There was a good deal of feeling about a doctor named Sebastian.

The last chapter is short of two leaves. Boats have gone out as far as the sandbar. It is known that Sebastian is on a platform, in the rain, and somebody says his name.

The oranges are reported to be rather sour. Mrs Marino is making marmalade, a jar for every finder.

@highlight

Four thousand oranges wrapped in pages of a novel washed ashore on Wednesday

@highlight

Residents have put most of the 310 pages in order in a school gym

@highlight

Two leaves of the last chapter are still missing
