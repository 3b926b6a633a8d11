Donkeys on the central beach went back to work on Monday after a stoppage of four days over hats.

The eleven animals have always worn straw bonnets with holes for the ears. This season their owner, Jim Sallis, 62, ordered new ones in a paler shade. On Thursday morning the leading donkey, Admiral, looked at his, lay down and could not be got up again. The rest lay down after him in order of age.

Children who had paid for a ride were allowed to sit on them anyway. Several said that it was more restful.

Mr Sallis tried the bonnets at a different angle. He tried carrots. On Saturday he sat down on the sand himself, and asked what was the matter.

It was the youngest, Biscuit, who got to his feet, went to the rubbish bin behind the kiosk, and took out one of the old hats. Inside the brim was sewn a strip of blue ribbon with his name on it, in the handwriting of the late Mrs Sallis.

All of the old ones have now been fetched from the tip and mended. The new hats have been offered to the council, which is considering it.

@highlight

Beach donkeys stopped work for four days over their new bonnets

@highlight

Their old hats had name ribbons sewn in by the late Mrs Sallis

@highlight

The old hats have been recovered and mended and work has resumed
